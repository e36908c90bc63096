"""Ask MLflow where versions come from: from the project's own database directly, else through MLflow's client.

MLflow takes 1.5 to 2.5 s to import, more than the whole answer may take. The database is opened to read only; where its
schema is not the one known here, or the store is a server, the client answers.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from adapters import mlflow_lineage_client as by_client
from adapters.mlflow_store import DATABASE, follow_move, is_own
from adapters.version_records import Run, Version

PARENT_TAG, STAGE_TAG = "mlflow.parentRunId", "stage"
DIGEST_TAG, NAME_TAG = "data_digest", "data"
_LIVE = "workspace = 'default' and current_stage <> 'Deleted_Internal' and status = 'READY'"
_COLUMNS = "name, version, creation_time, coalesce(storage_location, source), run_id"
_OF_MODEL = f"select {_COLUMNS} from model_versions where {_LIVE} and name = ? order by version desc"  # noqa: S608 constants
_OF_DATA = (
    f"select {_COLUMNS} from model_versions where {_LIVE} and (name, version) in (select name, version from "  # noqa: S608
    "model_version_tags where workspace = 'default' and key = 'data_digest' and value = ?) order by name, version desc"
)
_DATA_TAGS = """
    select name, version, key, value from model_version_tags where workspace = 'default' and (name, version) in
    (select name, version from model_version_tags where workspace = 'default' and key = 'data_digest' and value = ?)
"""
_KNOWN_DATA = """
    select digests.value, max(coalesce(paths.value, names.value, '')), count(*)
    from model_version_tags as digests
    join model_versions as versions using (workspace, name, version)
    left join model_version_tags as paths on paths.workspace = digests.workspace and paths.name = digests.name
      and paths.version = digests.version and paths.key = 'data_path'
    left join model_version_tags as names on names.workspace = digests.workspace and names.name = digests.name
      and names.version = digests.version and names.key = 'data'
    where digests.workspace = 'default' and digests.key = 'data_digest' and versions.current_stage <> 'Deleted_Internal'
    group by digests.value order by max(versions.creation_time) desc
"""
_RUN = """
    select runs.run_uuid, runs.name, runs.status, runs.lifecycle_stage, runs.artifact_uri, tags.value
    from runs left join tags on tags.run_uuid = runs.run_uuid and tags.key = 'stage' where runs.run_uuid
"""
_CHILDREN = "in (select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?) order by runs.start_time"


@dataclass(frozen=True, slots=True)
class Data:
    """A state of a data set that versions were made from.

    Args:
        digest: as DVC has it.
        path: where it was, or what it is called where that was not recorded.
        n_versions: that were made from it.
    """

    digest: str
    path: str
    n_versions: int


def names(project: Path) -> list[str]:
    """Return the registered models, sorted."""
    found = _rows(project, "select name from registered_models where workspace = 'default' order by name", ())
    return by_client.names(project) if found is None else [str(row[0]) for row in found]


def versions_of(project: Path, name: str) -> list[tuple[str, str]]:
    """Return (number, run id) of the versions of a model, the newest first; deleted ones are none."""
    found = _rows(project, _OF_MODEL, (name,))
    if found is None:
        return [(one.number, one.run_id) for one in by_client.versions_of(project, name)]
    return [(str(number), str(run_id or "")) for _, number, _, _, run_id in found]


def version(project: Path, name: str, number: str) -> Version | None:
    """Return a version with its tags and aliases; None when there is none."""
    found = _rows(project, f"{_OF_MODEL.partition('order')[0]} and version = ?", (name, number))
    if found is None:
        return by_client.version(project, name, number)
    if not found:
        return None
    tags = "select key, value from model_version_tags where workspace = 'default' and name = ? and version = ?"
    said = {str(key): str(value) for key, value in _rows(project, tags, (name, number)) or ()}
    return _version(found[0], said, _aliases(project))


def versions_of_data(project: Path, digest: str) -> list[Version]:
    """Return every version of any model that was made from a state of a data set, the newest of a model first."""
    found, tagged = _rows(project, _OF_DATA, (digest,)), _rows(project, _DATA_TAGS, (digest,))
    if found is None or tagged is None:
        return by_client.versions_of_data(project, digest)
    tags: dict[tuple[str, str], dict[str, str]] = {}
    for name, number, key, value in tagged:
        tags.setdefault((str(name), str(number)), {})[str(key)] = str(value)
    aliases = _aliases(project)
    return [_version(row, tags.get((str(row[0]), str(row[1])), {}), aliases) for row in found]


def known_data(project: Path) -> list[Data]:
    """Return every state of a data set that a version was made from, the latest used first."""
    found = _rows(project, _KNOWN_DATA, ())
    if found is None:
        return [Data(*one) for one in by_client.known_data(project)]
    return [Data(str(digest), str(path), int(str(count))) for digest, path, count in found]


def run(project: Path, run_id: str) -> Run | None:
    """Return a run; None when the store has none with this id."""
    found = _rows(project, f"{_RUN} = ?", (run_id,))
    if found is None:
        return by_client.run(project, run_id)
    return _run(found[0]) if found else None


def parent_of(project: Path, run_id: str) -> Run | None:
    """Return the run that a run belongs to; None when it belongs to none."""
    asked = "select value from tags where key = 'mlflow.parentRunId' and run_uuid = ?"
    found = _rows(project, asked, (run_id,))
    if found is None:
        return by_client.parent_of(project, run_id)
    return run(project, str(found[0][0])) if found else None


def children_of(project: Path, run_id: str) -> list[Run]:
    """Return the runs below a run, deleted ones left out, in the order of their beginning."""
    found = _rows(project, f"{_RUN} {_CHILDREN}", (run_id,))
    if found is None:
        return by_client.children_of(project, run_id)
    return [one for one in map(_run, found) if not one.deleted]


def params_of(project: Path, run_id: str) -> dict[str, str]:
    """Return what a run says of its parameters, as text."""
    found = _rows(project, "select key, value from params where run_uuid = ? order by key", (run_id,))
    return by_client.params_of(project, run_id) if found is None else {str(key): str(text) for key, text in found}


def _aliases(project: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    asked = "select name, version, alias from registered_model_aliases where workspace = 'default' order by alias"
    named: dict[tuple[str, str], tuple[str, ...]] = {}
    for name, number, alias in _rows(project, asked, ()) or ():
        named[str(name), str(number)] = (*named.get((str(name), str(number)), ()), str(alias))
    return named


def _version(
    row: tuple[object, ...], tags: Mapping[str, str], aliases: Mapping[tuple[str, str], tuple[str, ...]]
) -> Version:
    name, number, created_ms, location, run_id = row
    named = aliases.get((str(name), str(number)), ())
    return Version(str(name), str(number), int(str(created_ms)), str(location), str(run_id or ""), named, tags)


def _run(row: tuple[object, ...]) -> Run:
    run_id, name, status, lifecycle, place, stage = (str(value or "") for value in row)
    return Run(run_id, name, stage, status, lifecycle == "deleted", place)


def _rows(project: Path, query: str, values: Iterable[object]) -> list[tuple[object, ...]] | None:
    """Return what the project's own database answers; None where the client has to be asked."""
    if not is_own(project):
        return None
    database = project / DATABASE
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
            return connection.execute(query, tuple(values)).fetchall()
    except sqlite3.Error:  # another schema, a damaged file: MLflow knows, or says what is wrong
        return None


def prepare(project: Path) -> None:
    """Point the project's own database at the files beside it, once before it is asked."""
    if is_own(project) and (project / DATABASE).is_file():
        follow_move(project)
