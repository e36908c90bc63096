"""The stage `register`: a version in the MLflow registry, the gate's decision, and the record of both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.json_files import write_json
from adapters.mlflow_registry import Release, register, tag_version
from adapters.model_files import CARD, WEIGHTS
from adapters.origin_files import FILES_TAG, ORIGIN, gather
from tasks.failures import HaltedError
from tasks.gate import Judged, carry_out, judge
from tasks.handoffs import CHAMPION, COMPARISON, CONFUSION, LEARNING_CURVE, LOOKS, METRICS, MODEL, REGISTRATION, VERDICT
from tasks.licences import weights_tags
from tasks.mitigation_record import climbed
from tasks.naming import model_name
from tasks.origin import origin_tags
from tasks.params import read_params
from tasks.params_blocks import MITIGATE, STOP
from tasks.release import is_origin, read_release
from tasks.step import step
from transfer.evaluation.promotion import KEEP
from transfer.evaluation.verdict import NEGATIVE

_SHOWN = (CONFUSION, COMPARISON, LEARNING_CURVE)


@step
def check() -> None:
    """Check that there is something to register, a name for it, and that it may be used.

    Raises:
        UserError: an artifact is missing or was made from another model, the name cannot be registered, or the licence
            or the origin of the weights is unknown and params.yaml does not allow that.
        HaltedError: the verdict is negative, and params.yaml asks to stop there.
    """
    release, on_negative = _release(), read_params().evaluate.on_negative
    if release.tags["verdict_kind"] != NEGATIVE:
        return
    if on_negative == STOP:
        raise HaltedError(
            f"{release.tags['verdict']} Nothing is registered, since evaluate.on_negative is stop; make it mitigate to "
            "have other parameters tried, or warn to go on, and run again."
        )
    if on_negative == MITIGATE and climbed(Path.cwd()) is None:
        print("The verdict is negative, and nothing else was tried: `rootstock run` climbs, a single stage does not.")


@step
def publish() -> None:
    """Register the model as the challenger and let the gate decide, within the stage's MLflow run.

    The record is written last: whatever was cut off before is taken up by the next run.
    """
    from adapters.mlflow_runs import stage_run

    settings, project = read_params().register, Path.cwd()
    with _with_origin(project) as release, stage_run("register") as run:
        run.params({f"register.{key}": value for key, value in settings.model_dump().items()})
        run.tags({**release.tags, **release.identity})
        for path in (*_SHOWN, METRICS, VERDICT, LOOKS, CHAMPION):
            if path.is_file():
                run.artifact(path, "register")
        if release.origin is not None:
            run.artifact(release.origin, ORIGIN)
        version = register(project, release, run)
        judged = judge(project, release, version, settings)
        run.tags({"model_version": f"{release.name}/{version}", **judged.tags})
        if judged.decision.outcome != KEEP:
            tag_version(project, release.name, version, judged.tags)
        carry_out(project, release, version, judged)
    _write(release, version, judged)
    print(f"{release.name} version {version}: {judged.decision.sentence}")


def _release() -> Release:
    params, project = read_params(), Path.cwd()
    weights = weights_tags(project, allow_unknown=params.register.allow_unknown_licence)
    return read_release(
        project, model_name(params, project), params.data.path, {**weights, **origin_tags(project, params)}
    )


@contextmanager
def _with_origin(project: Path) -> Iterator[Release]:
    """Yield the release with what it takes to make its model again."""
    with TemporaryDirectory(prefix="rootstock-") as scratch:
        release = _release()
        said = {FILES_TAG: gather(project, Path(scratch))}
        yield replace(release, tags={**release.tags, **said}, origin=Path(scratch))


def _write(release: Release, version: str, judged: Judged) -> None:
    record = {
        "name": release.name,
        "model_version": version,
        "alias": release.alias,
        **release.identity,
        **{tag: text for tag, text in release.tags.items() if is_origin(tag)},
        "promotion": judged.plain,
    }
    made_from = {
        "weights": MODEL / WEIGHTS,
        "card": MODEL / CARD,
        "metrics": METRICS,
        "verdict": VERDICT,
        "looks": LOOKS,
    }
    write_json(REGISTRATION, record, {**made_from, "champion": CHAMPION})
