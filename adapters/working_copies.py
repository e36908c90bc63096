"""Working copies in which a model is made again: each in a folder of its own, removed at the end or by the next one.

A copy has its own `.git`, DVC cache, MLflow store and `.rootstock`. What it borrows of the project (the objects of git,
files of data, weights) it reads through links.
"""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters import environment
from adapters.project import state_folder
from transfer.errors import UserError

FOLDER = "reproduce"
_MEASURED = ("executors.json", "speeds.json")  # what was decided by measuring on this machine stays decided
_OURS = ("ROOTSTOCK_", "MLFLOW_TRACKING", "MLFLOW_REGISTRY", "MLFLOW_RUN", "PREFECT_", "DVC_")
_KEPT = ("ROOTSTOCK_WEIGHTS", "ROOTSTOCK_DEBUG", "DVC_NO_ANALYTICS", "PREFECT_SERVER_ANALYTICS_ENABLED")


@contextmanager
def room(project: Path, into: Path | None, *, keep: bool) -> Iterator[Path]:
    """Yield an empty folder for a copy and what lies around it; remove it at the end unless it is to be kept.

    Args:
        project: the project's folder.
        into: the folder to use; one below the project's state when None.
        keep: whether it stays.

    Raises:
        UserError: the folder holds something already, or cannot be made.
    """
    from filelock import FileLock

    rooms = state_folder(project) / FOLDER
    rooms.mkdir(exist_ok=True)
    _sweep(rooms)
    name = secrets.token_hex(4)
    place = rooms / name if into is None else into
    if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
        raise UserError(f"{place} holds something already; name a folder that is empty or not there yet.")
    with FileLock(rooms / f"{name}.lock", timeout=0):
        try:
            _make(place)
            yield place
        finally:
            if not keep:
                _remove(place)
            (rooms / f"{name}.lock").unlink(missing_ok=True)  # without it the next one leaves a kept folder alone


def _make(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{place} cannot be made ({error.strerror}); name a folder that can be written to, or leave it out."
        ) from error


def depth(paths: Iterable[str]) -> int:
    """Return how many folders above the project relative paths lead at most."""
    parts = [Path(os.path.normpath(path)).parts for path in paths if not Path(path).is_absolute()]
    return max((sum(part == ".." for part in one) for one in parts), default=0)


def place_for_copy(folder: Path, levels: int) -> Path:
    """Return where in a room the copy goes, so that paths that lead above it stay in the room.

    Args:
        folder: the room.
        levels: what `depth` returned.
    """
    return folder.joinpath(*map(str, range(1, levels + 1)), "project")


def lend(project: Path, copy: Path, path: str) -> None:
    """Give a copy a file or folder of the project, or of a place beside it, by a link.

    Args:
        project: the project's folder.
        copy: the copy of it.
        path: relative to the project; absolute ones need no link.
    """
    source, target = (Path(os.path.normpath(place / path)) for place in (project, copy))
    if source.exists() and not Path(path).is_absolute() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.resolve())


def lend_measured(project: Path, copy: Path) -> None:
    """Give a copy what was measured on this machine, so that it takes the same ways of computing."""
    for name in _MEASURED:
        if (state_folder(project) / name).is_file():
            shutil.copyfile(state_folder(project) / name, state_folder(copy) / name)


@contextmanager
def apart(copy: Path) -> Iterator[None]:
    """Work in a copy: in its folder, without the environment that names servers, stores and memories of the project."""
    gone = {name: value for name, value in os.environ.items() if name.startswith(_OURS) and name not in _KEPT}
    before = Path.cwd()
    for name in gone:
        environment.drop(name)
    environment.prepare(copy)
    os.chdir(copy)
    try:
        yield
    finally:
        os.chdir(before)
        for name in [name for name in os.environ if name.startswith(_OURS) and name not in _KEPT]:
            environment.drop(name)
        for name, value in gone.items():
            environment.put(name, value)


def _sweep(rooms: Path) -> None:
    """Remove what killed processes left behind."""
    from filelock import FileLock, Timeout

    for mark in rooms.glob("*.lock"):
        try:
            with FileLock(mark, timeout=0):
                _remove(mark.with_suffix(""))
                mark.unlink(missing_ok=True)
        except Timeout:
            continue


def _remove(folder: Path) -> None:
    """Remove a folder; the links in it, not what they lead to."""
    shutil.rmtree(folder, ignore_errors=True)
