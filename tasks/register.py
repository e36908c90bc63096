"""The stage `register`: a version in the MLflow registry, then the alias, then the record of both."""

from pathlib import Path

from adapters.json_files import write_json
from adapters.mlflow_registry import Release, register
from adapters.model_files import CARD, WEIGHTS
from tasks.handoffs import COMPARISON, CONFUSION, LEARNING_CURVE, METRICS, MODEL, REGISTRATION, VERDICT
from tasks.licences import WEIGHTS_TAGS, weights_tags
from tasks.params import read_params
from tasks.release import model_name, read_release
from tasks.step import step

_PICTURES = (CONFUSION, COMPARISON, LEARNING_CURVE)


@step
def check() -> None:
    """Check that there is something to register, a name for it, and that it may be used.

    Raises:
        UserError: an artifact is missing or was made from another model, the name cannot be registered, or the licence
            or the origin of the weights is unknown and params.yaml does not allow that.
    """
    _release()


@step
def publish() -> None:
    """Register the model and move the alias, within the stage's MLflow run; the record is written last."""
    from adapters.mlflow_runs import stage_run

    release = _release()
    with stage_run("register") as run:
        run.params({"register.model_name": release.name, "register.alias": release.alias})
        run.tags({**release.tags, **release.identity})
        for picture in (*_PICTURES, METRICS, VERDICT):
            if picture.is_file():
                run.artifact(picture, "register")
        version = register(Path.cwd(), release, run)
        run.tags({"model_version": f"{release.name}/{version}"})
    _write(release, version)
    print(f"{release.name} version {version} is {release.alias}: models:/{release.name}@{release.alias}")


def _release() -> Release:
    params, project = read_params(), Path.cwd()
    weights = weights_tags(project, allow_unknown=params.register.allow_unknown_licence)
    return read_release(project, model_name(params, project), params.register.alias, params.data.path, weights)


def _write(release: Release, version: str) -> None:
    known = {tag: text for tag, text in release.tags.items() if tag.startswith(WEIGHTS_TAGS)}
    record = {"name": release.name, "model_version": version, "alias": release.alias, **release.identity, **known}
    made_from = {"weights": MODEL / WEIGHTS, "card": MODEL / CARD, "metrics": METRICS, "verdict": VERDICT}
    write_json(REGISTRATION, record, made_from)
