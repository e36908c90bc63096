"""The stage `register`: a version in the MLflow registry, then the alias, then the record of both."""

from pathlib import Path

from adapters.json_files import sha256_of, write_plain_json
from adapters.mlflow_registry import CARD_TAG, MODEL_TAG, Release, register
from tasks.params import read_params
from tasks.release import METRICS, REGISTRATION, VERDICT, model_name, read_release
from tasks.step import step

_PICTURES = (
    Path("artifacts/evaluate/confusion.png"),
    Path("artifacts/evaluate/comparison.png"),
    Path("artifacts/finetune/learning_curve.png"),
)


@step
def check() -> None:
    """Check that there is something to register, and a name for it.

    Raises:
        UserError: an artifact is missing or was made from another model, or the name cannot be registered.
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
    return read_release(project, model_name(params, project), params.register.alias, params.data.path)


def _write(release: Release, version: str) -> None:
    """Write the registration; `version` is the model's, as everywhere in MLflow, not that of the record's layout."""
    identity = release.identity
    record = {
        "name": release.name,
        "version": version,
        "alias": release.alias,
        "model_sha256": identity[MODEL_TAG],
        "card_sha256": identity[CARD_TAG],
        "made_from": {path.stem: sha256_of(path) for path in (METRICS, VERDICT)},
    }
    write_plain_json(REGISTRATION, record)
