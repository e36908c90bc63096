"""Which digest a data set had: from DVC's own records, now or at a commit."""

import os
from pathlib import Path
from typing import Any

from adapters import git_copies
from adapters.dvc_lock import LOCK, parsed, stages, text_of


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
    return _digest(path, lambda name: text_of(project / name))


def at_commit(project: Path, path: str, commit: str) -> str | None:
    """Return the digest that a commit recorded; None where it recorded none."""
    return _digest(path, lambda name: git_copies.text_at(project, commit, name))


def _digest(path: str, text_at: Any) -> str | None:
    """Look into PATH.dvc, then into dvc.lock: as an output of a stage, or as what the manifest was made from."""
    own = parsed(None if Path(path).is_absolute() else text_at(f"{path}.dvc"))
    found = [out.get("md5") for out in own.get("outs", ()) if isinstance(out, dict)]
    entries = [stage for stage in stages(text_at(LOCK)).values() if isinstance(stage, dict)]
    for kind in ("outs", "deps"):
        found += [one.get("md5") for stage in entries for one in stage.get(kind, ()) if _same(one.get("path"), path)]
    return next((str(digest) for digest in found if digest), None)


def _same(recorded: object, path: str) -> bool:
    return isinstance(recorded, str) and os.path.normpath(recorded) == os.path.normpath(path)
