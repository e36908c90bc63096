"""Find the folder of a stored classifier behind a model URI."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from adapters.model_files import CARD, WEIGHTS
from adapters.project import find_project
from transfer.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# What MLflow's own reading of a URI takes for something else where the name holds an @ or a ?.
_REGISTERED = re.compile(r"models:/(?P<name>[^/]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+|latest))")
_N_NAMED = 20


def model_folder(model_uri: str) -> Path:
    """Return the folder that holds a classifier's weights and card, fetched from a remote store if need be.

    Args:
        model_uri: a folder, or any URI that MLflow resolves: models:/name@alias, models:/name/version,
            models:/name/latest, models:/model_id, runs:/run_id/path; all are looked up in the project's store.

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


def package_folder(place: str) -> Path:
    """Return the folder of a whole MLflow model, fetched from a remote store if need be.

    Args:
        place: folder or URI of its files.

    Raises:
        UserError: it cannot be fetched.
        EnvironmentFault: the store cannot be opened.
    """
    return Path(place) if "://" not in place else _fetched(place)


def version_folder(name: str, version: str, location: str) -> Path:
    """Return the folder of the files of a version that the registry holds, fetched from a remote store if need be.

    Args:
        name: of the registered model.
        version: its number.
        location: folder or URI of its files, as the registry has it.

    Raises:
        UserError: the files are on this machine's disk no more.
        EnvironmentFault: the store does not hand them out at this time.
    """
    parts = urlsplit(location)
    folder = Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(location)
    if ":/" in location and parts.scheme != "file":
        try:
            return _fetched(f"models:/{name}/{version}")
        except UserError as error:  # the registry knows the version: the store is at fault, not the name
            raise EnvironmentFault(
                f"The files of {name} version {version} cannot be fetched from {location} ({error.__cause__}); check "
                f"the store and run again, or promote another version where they are gone for good."
            ) from error
    if not folder.is_dir():
        raise UserError(f"The files of {name} version {version} are gone from {folder}; promote another version.")
    return folder


def _fetched(model_uri: str) -> Path:
    from adapters import mlflow_store

    project = find_project()
    client = mlflow_store.open_client(project)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        found = _REGISTERED.fullmatch(model_uri)
        place = _location(client, *found.group("name", "alias", "version")) if found is not None else model_uri
        with mlflow_store.as_default(project):
            return Path(download_artifacts(artifact_uri=place))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(f"The model {model_uri} cannot be opened ({reason}); {_offer(client)}.") from error


def _location(client: "MlflowClient", name: str, alias: str, version: str | None) -> str:
    if version == "latest":
        version = str(max((int(one.version) for one in client.get_registered_model(name).latest_versions), default=0))
    number = version or client.get_model_version_by_alias(name, alias).version
    return str(client.get_model_version_download_uri(name, str(number)))


def _offer(client: "MlflowClient") -> str:
    """Say which registered models there are, by their aliases where they have some."""
    from mlflow.exceptions import MlflowException

    try:
        models = list(client.search_registered_models(max_results=_N_NAMED))
    except MlflowException:
        models = []
    uris = [f"models:/{model.name}@{alias}" for model in models for alias in model.aliases or ()]
    uris += [f"models:/{model.name}/<version>" for model in models if not model.aliases]
    return f"there is {', '.join(uris)}" if uris else "nothing is registered here yet, `rootstock run` does it"
