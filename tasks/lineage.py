"""Lineage both ways: what a registered version was made from, and which versions were made from a data set."""

from dataclasses import dataclass
from pathlib import Path

from adapters import data_records, environment, mlflow_lineage
from adapters.project import enter_project
from adapters.version_records import Version
from tasks import data_revisions
from tasks.lineage_facts import Fact, facts_of
from tasks.versions import NAMED, resolve
from transfer.errors import UserError


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """The versions that were made from a state of a data set.

    Args:
        path: of the data set, as it was asked for.
        digest: of the state, as DVC has it.
        source: where the digest was found, in words.
        versions: of every model, the newest of a model first.
    """

    path: str
    digest: str
    source: str
    versions: tuple[Version, ...]


def lineage_of(target: str) -> list[Fact] | MadeFrom:
    """Return what a version was made from, or which versions were made from a data set.

    Args:
        target: NAME, NAME@ALIAS or NAME/VERSION of a registered model; or PATH or PATH@REVISION of a data set, the
            revision being one of git, or a digest of at least 6 digits.

    Raises:
        UserError: there is no such version, data set or revision.
        EnvironmentFault: the store cannot be read.
    """
    if not target.strip():
        raise UserError("Nothing is named; write NAME of a registered model, or data/NAME of a data set.")
    typed_in, project = Path.cwd(), enter_project()
    environment.prepare(project)
    mlflow_lineage.prepare(project)
    if _is_model(project, target):
        return [*facts_of(project, resolve(project, target))]
    return _made_from(project, typed_in, target)


def _is_model(project: Path, target: str) -> bool:
    if target.startswith("models:/"):
        return True
    parts = NAMED.fullmatch(target)
    name = parts.group("name") if parts else target
    if "/" in name or name in (".", ".."):
        return False
    path = target.partition("@")[0]
    return name in mlflow_lineage.names(project) or not ("/" in path or (project / path).is_dir())


def _made_from(project: Path, typed_in: Path, target: str) -> MadeFrom:
    path, _, revision = target.partition("@") if not Path(target).exists() else (target, "", "")
    path = data_records.as_recorded(project, typed_in, path)
    if revision:
        digest, source, _ = data_revisions.at(project, path, revision)
    else:
        found, source = data_records.present(project, path), "as DVC recorded it last"
        if found is None:
            raise data_revisions.unknown(project, path, f"Nothing is recorded of {path} here")
        digest = found
    return MadeFrom(path, digest, source, tuple(mlflow_lineage.versions_of_data(project, digest)))
