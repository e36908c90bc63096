"""Ask the registry which model an alias names: from its database directly where that is certain, else through MLflow.

MLflow takes 1.5 s to import, which is too long for a question that is asked after every run that had nothing to do.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.mlflow_store import (
    DATABASE,
    follow_move,
    is_own,
    open_client,
    registered_models,
    registry_uri,
    store_errors,
)
from adapters.serving_model import ARTIFACT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MODEL_TAG, CARD_TAG = "model_sha256", "card_sha256"
_VERSION_QUERY = """
    select versions.version, versions.status, coalesce(versions.storage_location, versions.source)
    from registered_model_aliases as aliases
    join model_versions as versions
      on versions.workspace = aliases.workspace and versions.name = aliases.name and versions.version = aliases.version
    where aliases.workspace = 'default' and aliases.name = ? and aliases.alias = ?
"""
_NUMBER_QUERY = """
    select version, status, coalesce(storage_location, source)
    from model_versions where workspace = 'default' and name = ? and version = ? and current_stage <> 'Deleted_Internal'
"""
_ALL_QUERY = "select name, alias from registered_model_aliases where workspace = 'default' order by name, alias"
_TAGS_QUERY = "select key, value from model_version_tags where workspace = 'default' and name = ? and version = ?"


@dataclass(frozen=True, slots=True)
class AliasedVersion:
    """The version that an alias names.

    Args:
        version: its number.
        tags: its tags.
        location: where its files are: a folder, or a URI that only MLflow understands.
    """

    version: str
    tags: Mapping[str, str]
    location: str


def missing(project: Path, name: str, alias: str, identity: Mapping[str, str], weights: Path) -> list[str]:
    """Compare the registry with a model; return a phrase for everything that it lacks.

    Args:
        project: the project's folder.
        name: of the registered model.
        alias: the alias that should name it.
        identity: tag -> digest, which the version must carry.
        weights: the model's weights file.

    Raises:
        EnvironmentFault: the store cannot be read.
    """
    found = aliased(project, name, alias)
    if found is None:
        return [f"{name}@{alias} was not in the registry"]
    if any(found.tags.get(key) != value for key, value in identity.items()):
        return [f"{name}@{alias} was version {found.version}, another model"]
    if not intact(found.location, weights):
        return [f"the files of {name} version {found.version} were gone"]
    return []


def aliased(project: Path, name: str, alias: str) -> AliasedVersion | None:
    """Return the version that an alias names, None when there is none."""
    return _asked(project, _VERSION_QUERY, name, alias, _aliased_by_client)


def numbered(project: Path, name: str, number: str) -> AliasedVersion | None:
    """Return the version with a number, None when there is none."""
    return _asked(project, _NUMBER_QUERY, name, number, _numbered_by_client)


def all_aliases(project: Path) -> list[tuple[str, str]]:
    """Return (name, alias) of every registered model."""
    if not is_own(project):
        return _all_by_client(project)
    if not (project / DATABASE).is_file():
        return []
    try:
        with _opened(project / DATABASE) as connection:
            return [(str(name), str(alias)) for name, alias in connection.execute(_ALL_QUERY).fetchall()]
    except sqlite3.Error:
        return _all_by_client(project)


def _asked(
    project: Path,
    query: str,
    name: str,
    key: str,
    ask_client: "Callable[[MlflowClient, str, str], ModelVersion]",
) -> AliasedVersion | None:
    if not is_own(project):
        return _by_client(project, name, key, ask_client)
    if not (project / DATABASE).is_file():
        return None
    follow_move(project)
    try:
        return _by_query(project / DATABASE, query, name, key)
    except sqlite3.Error:  # another schema, a damaged file: MLflow knows, or says what is wrong
        return _by_client(project, name, key, ask_client)


def intact(location: str, weights: Path) -> bool:
    """Tell whether the files of a version are there; those on a server are taken to be.

    Args:
        location: folder or URI of the files.
        weights: the file that they must hold a copy of.
    """
    if "://" in location:
        return True
    copy = Path(location) / "artifacts" / ARTIFACT / weights.name
    return (Path(location) / "MLmodel").is_file() and copy.is_file() and copy.stat().st_size == weights.stat().st_size


def _opened(database: Path) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0))


def _by_query(database: Path, query: str, name: str, key: str) -> AliasedVersion | None:
    with _opened(database) as connection:
        found = connection.execute(query, (name, key)).fetchone()
        if found is None or found[1] != "READY":
            return None
        tags = dict(connection.execute(_TAGS_QUERY, (name, found[0])).fetchall())
    return AliasedVersion(str(found[0]), tags, str(found[2]))


def _by_client(
    project: Path, name: str, key: str, ask: "Callable[[MlflowClient, str, str], ModelVersion]"
) -> AliasedVersion | None:
    client = open_client(project)
    from mlflow.exceptions import MlflowException

    with store_errors(registry_uri(project)):
        try:
            found = ask(client, name, key)
            location = client.get_model_version_download_uri(name, found.version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
    return AliasedVersion(str(found.version), found.tags, str(location)) if found.status == "READY" else None


def _aliased_by_client(client: "MlflowClient", name: str, alias: str) -> "ModelVersion":
    return client.get_model_version_by_alias(name, alias)


def _numbered_by_client(client: "MlflowClient", name: str, number: str) -> "ModelVersion":
    return client.get_model_version(name, number)


def _all_by_client(project: Path) -> list[tuple[str, str]]:
    client = open_client(project)
    with store_errors(registry_uri(project)):
        return sorted((model.name, alias) for model in registered_models(client) for alias in model.aliases or ())
