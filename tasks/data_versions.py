"""The history of a data set: which commits changed it, what came, and which models were made of it."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters import data_lists, data_records, dvc_cache, environment, mlflow_lineage
from adapters.data_history import Commit, history
from adapters.project import enter_project
from tasks.cli import console
from tasks.data_revisions import unknown
from tasks.params import read_params
from transfer.data.file_changes import Entry, compare

NOT_COMMITTED = "not committed"
_NAMED = 3  # models, for people; JSON has all
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}


@dataclass(frozen=True, slots=True)
class DataVersion:
    """A state of a data set that a commit brought, or that DVC recorded and no commit has yet.

    Args:
        commit: its id; None where no commit has it.
        time: of the commit, ISO 8601; None where there is none.
        tags: that name the commit.
        subject: of the commit.
        digest: as DVC has it.
        files: of it; None where that is not known.
        size_bytes: of all files; None where that is not known.
        files_here: of it that the DVC cache holds.
        changes: kind -> number of files beside the state before; None where a list of files is not here.
        models: versions of registered models that were made from it, with their aliases.
    """

    commit: str | None
    time: str | None
    tags: tuple[str, ...]
    subject: str
    digest: str
    files: int | None
    size_bytes: int | None
    files_here: int
    changes: Mapping[str, int] | None
    models: tuple[str, ...]


def versions(path: str | None, most: int) -> tuple[str, list[DataVersion]]:
    """Return the path of a data set, and its last states, the newest first.

    Args:
        path: of the data set; None for data.path of params.yaml.
        most: states to return.

    Raises:
        UserError: nothing is recorded of it.
        EnvironmentFault: the store cannot be read.
    """
    typed_in, project = Path.cwd(), enter_project()
    environment.prepare(project)
    mlflow_lineage.prepare(project)
    where, asked = (project, read_params().data.path) if path is None else (typed_in, path)
    named = data_records.as_recorded(project, where, asked)
    commits = list(itertools.islice(history(project, named), most + 1))
    present = data_records.present_record(project, named)
    if present.digest and (not commits or commits[0].record.digest != present.digest):
        commits.insert(0, Commit("", "", (), NOT_COMMITTED, present))
    if not commits:
        raise unknown(project, named, f"Neither DVC nor a commit has recorded {named} here")
    befores = [*(one.record.digest for one in commits[1:]), None]
    return named, [_version(project, *pair) for pair in itertools.islice(zip(commits, befores, strict=True), most)]


def show_versions(path: str | None, most: int, *, as_json: bool) -> None:
    """Print the last states of a data set.

    Raises:
        UserError: nothing is recorded of it.
        EnvironmentFault: the store cannot be read.
    """
    named, found = versions(path, most)
    if as_json:
        print(json.dumps({"data": named, "versions": [asdict(one) for one in found]}, indent=2, ensure_ascii=False))
    else:
        _print(named, found)


def _version(project: Path, commit: Commit, before: str | None) -> DataVersion:
    digest = str(commit.record.digest)
    models = mlflow_lineage.versions_of_data(project, digest)
    kept = dvc_cache.kept(project, digest)
    return DataVersion(
        commit=commit.commit or None,
        time=commit.time or None,
        tags=commit.tags,
        subject=commit.subject,
        digest=digest,
        files=commit.record.n_files if kept.n_files is None else kept.n_files,
        size_bytes=commit.record.n_bytes,
        files_here=kept.n_here,
        changes=_changes(project, before, digest),
        models=tuple(f"{one.name}/{one.number}{''.join(f'@{name}' for name in one.aliases)}" for one in models),
    )


def _changes(project: Path, before: str | None, after: str) -> dict[str, int] | None:
    lists = [data_lists.listed(project, digest) if digest else {} for digest in (before, after)]
    states = [[Entry(path, digest) for path, digest in files.items()] for files in lists if files is not None]
    if len(states) < 2:
        return None
    found = compare(*states)
    return {kind: len(getattr(found, kind)) for kind in _SIGNS}


def _print(path: str, found: Sequence[DataVersion]) -> None:
    from rich.markup import escape
    from rich.table import Table

    print(f"{path}, the newest state first\n")
    columns: list[tuple[str, Callable[[DataVersion], str]]] = [
        ("commit", lambda one: (one.commit or "")[:9]),
        ("when", lambda one: (one.time or "")[:10]),
        ("digest", lambda one: one.digest[:9]),
        ("files", lambda one: "" if one.files is None else f"{one.files:,}"),
        ("size", lambda one: "" if one.size_bytes is None else _size(one.size_bytes)),
        *([("here", _here)] if any(_here(one) != "yes" for one in found) else []),
        ("changes", lambda one: _words(one.changes)),
        *([("models", _models)] if any(one.models for one in found) else []),
        ("", lambda one: escape(" ".join([*(f"[{tag}]" for tag in one.tags), one.subject]))),
    ]
    table = Table(*(name for name, _ in columns), box=None, pad_edge=False)
    for column in table.columns[:-1]:
        column.no_wrap = column.header != "models"
    table.columns[3].justify = table.columns[4].justify = "right"
    for one in found:
        table.add_row(*(cell(one) for _, cell in columns))
    with console() as shown:
        shown.print(table)
    print("\nFiles beside the state before: + added, - removed, ~ changed, > moved.")


def _models(one: DataVersion) -> str:
    more = f" and {len(one.models) - _NAMED} more" if len(one.models) > _NAMED else ""
    return ", ".join(one.models[:_NAMED]) + more


def _here(one: DataVersion) -> str:
    if not one.files_here or one.files is None:
        return "no"
    return "yes" if one.files_here == one.files else f"{one.files_here / one.files:.0%}"


def _words(changes: Mapping[str, Any] | None) -> str:
    if changes is None:
        return "not known"
    return " ".join(f"{_SIGNS[kind]}{count:,}" for kind, count in changes.items() if count) or "none"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
