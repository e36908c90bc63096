"""Find the folder of a stored classifier behind a model URI."""

from pathlib import Path

from adapters.model_files import CARD, WEIGHTS
from adapters.project import find_project
from transfer.errors import UserError


def model_folder(model_uri: str) -> Path:
    """Return the folder that holds a classifier's weights and card, fetched from a remote store if need be.

    Args:
        model_uri: a folder, or any URI that MLflow resolves: models:/name@alias, models:/name/version, runs:/id/path.

    Raises:
        UserError: there is no such model, or it is not one of ours.
        EnvironmentFault: the store cannot be opened.
    """
    root = Path(model_uri).expanduser() if ":/" not in model_uri else _fetched(model_uri)
    folders = [card.parent for card in sorted(root.rglob(CARD)) if (card.parent / WEIGHTS).is_file()]
    if len(folders) != 1:
        found = "no model" if not folders else f"{len(folders)} models"
        raise UserError(
            f"{model_uri} holds {found} with {WEIGHTS} and {CARD}; name one that `rootstock run` registered, "
            f"for example models:/digits@champion, or a folder like artifacts/finetune/model."
        )
    return folders[0]


def _fetched(model_uri: str) -> Path:
    from adapters import mlflow_store

    project = find_project()
    mlflow_store.open_client(project)
    import mlflow
    from mlflow.exceptions import MlflowException

    tracking, registry = mlflow_store.tracking_uri(project), mlflow_store.registry_uri(project)
    try:
        mlflow.set_registry_uri(registry)
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=model_uri, tracking_uri=tracking))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(
            f"The model {model_uri} cannot be opened ({reason}); the MLflow UI of `rootstock up` lists what there is."
        ) from error
