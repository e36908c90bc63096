"""Which digest a data set had: from DVC's own records, now or at a commit."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters import git_copies
from adapters.dvc_lock import LOCK, parsed, stages, text_of


@dataclass(frozen=True, slots=True)
class Record:
    """What DVC recorded of a data set.

    Args:
        digest: of its list of files; None where nothing is recorded.
        n_files: None where that was not recorded.
        n_bytes: of all files; None where that was not recorded.
    """

    digest: str | None
    n_files: int | None
    n_bytes: int | None


NOTHING = Record(None, None, None)


def as_recorded(project: Path, typed_in: Path, path: str) -> str:
    """Return a path of a data set as params.yaml and DVC would have it: relative to the project where it was typed so.

    Args:
        project: the project's folder.
        typed_in: the directory it was typed in.
        path: relative to either, or absolute.
    """
    given = Path(path).expanduser()
    if given.is_absolute():
        inside = given.is_relative_to(project)
        return (given.relative_to(project) if inside else given).as_posix()
    if typed_in.resolve() != project.resolve() and (typed_in / given).exists():
        return Path(os.path.relpath((typed_in / given).absolute(), project)).as_posix()
    return Path(os.path.normpath(given)).as_posix()


def present(project: Path, path: str) -> str | None:
    """Return the digest that DVC recorded last; None where it recorded none.

    Args:
        project: the project's folder.
        path: of the data set, as `as_recorded` returns it.
    """
    return present_record(project, path).digest


def at_commit(project: Path, path: str, commit: str) -> str | None:
    """Return the digest that a commit recorded; None where it recorded none."""
    return record_of(path, lambda name: git_copies.text_at(project, commit, name)).digest


def present_record(project: Path, path: str) -> Record:
    """Return what DVC recorded last of a data set."""
    return record_of(path, lambda name: text_of(project / name))


def record_of(path: str, text_at: Callable[[str], str | None]) -> Record:
    """Return what is recorded of a data set.

    Args:
        path: of the data set, as `as_recorded` returns it.
        text_at: returns the text of a file of the project, by its name; None where there is none.
    """
    entry = next((one for one in _entries(path, text_at) if one.get("md5")), None)
    return NOTHING if entry is None else Record(str(entry["md5"]), _count(entry, "nfiles"), _count(entry, "size"))


def _entries(path: str, text_at: Callable[[str], str | None]) -> Iterator[dict[str, Any]]:
    """Look into PATH.dvc, then into dvc.lock: as an output of a stage, or as what the manifest was made from."""
    own = parsed(None if Path(path).is_absolute() else text_at(f"{path}.dvc"))
    yield from (out for out in own.get("outs", ()) if isinstance(out, dict))
    entries = [stage for stage in stages(text_at(LOCK)).values() if isinstance(stage, dict)]
    for kind in ("outs", "deps"):
        yield from (one for stage in entries for one in stage.get(kind, ()) if _same(one.get("path"), path))


def _count(entry: dict[str, Any], name: str) -> int | None:
    found = entry.get(name)
    return found if isinstance(found, int) else None


def _same(recorded: object, path: str) -> bool:
    return isinstance(recorded, str) and os.path.normpath(recorded) == os.path.normpath(path)
