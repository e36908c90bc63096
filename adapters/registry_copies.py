"""Give a working copy the registry of its project, for backbones that are trunks of registered models."""

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from adapters.mlflow_aliases import MODEL_TAG
from adapters.mlflow_store import ARTIFACTS, DATABASE, follow_move, is_own
from transfer.errors import UserError

_URI = re.compile(r"models:/(?P<name>[^/]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")
_HOLDING = """
    select version from model_version_tags join model_versions using (workspace, name, version)
    where workspace = 'default' and name = ? and key = ? and value = ? and current_stage <> 'Deleted_Internal'
    order by version desc
"""


def lend_registry(project: Path, copy: Path, wanted: Mapping[str, str]) -> None:
    """Give a copy its own copy of the registry, with links to the files; aliases name what they named then.

    Args:
        project: the project's folder.
        copy: the copy of it.
        wanted: models:/NAME@ALIAS or models:/NAME/VERSION -> sha256 of its weights.

    Raises:
        UserError: no version holds such weights any more, or the registry is on a server.
    """
    if not is_own(project):
        raise UserError(
            f"{', '.join(wanted)} lies in a registry on a server, of which a working copy has none; unset "
            f"MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI where the project's own registry has it too."
        )
    database = copy / DATABASE
    database.parent.mkdir(parents=True, exist_ok=True)
    source = f"{(project / DATABASE).resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(source, uri=True)) as before, closing(sqlite3.connect(database)) as now:
        before.backup(now)
        for uri, digest in wanted.items():
            _point(now, uri, digest)
        now.commit()
    for models in (project / ARTIFACTS).glob("*/models"):
        target = copy / ARTIFACTS / models.parent.name / models.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(models.resolve())
    follow_move(copy)


def _point(connection: sqlite3.Connection, uri: str, digest: str) -> None:
    """Let a URI name the version that holds the weights."""
    parts = _URI.fullmatch(uri)
    found = connection.execute(_HOLDING, (parts["name"], MODEL_TAG, digest)).fetchall() if parts else []
    versions = [int(row[0]) for row in found]
    if parts is None or not versions or (parts["version"] and int(parts["version"]) not in versions):
        raise UserError(
            f"{uri} was used with weights of sha256 {digest[:12]}..., which no version of it holds any more; register "
            f"that model again, or restore the registry from a copy."
        )
    if parts["alias"]:
        connection.execute(
            "insert or replace into registered_model_aliases (workspace, name, alias, version) values "
            "('default', ?, ?, ?)",
            (parts["name"], parts["alias"], versions[0]),
        )
