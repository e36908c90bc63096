"""Make a folder that is there whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.project import state_folder
from transfer.errors import EnvironmentFault, UserError

_STAGED = ".import.part"  # DVC ignores names like these


@contextmanager
def new_folder(project: Path, target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`; what `whole` is called with takes the name, all else is removed.

    What a killed process left behind is removed by the next one, outside of the project by the next one of that name;
    two at once in a project are refused.

    Args:
        project: the project's folder.
        target: that is not there yet.

    Raises:
        UserError: something is there already, or another import is at work.
        EnvironmentFault: the folder cannot be made or filled.
    """
    from filelock import FileLock, Timeout

    if os.path.lexists(target):
        raise UserError(f"{target} is there already; name another place for the data set, or remove it first.")
    lock = FileLock(state_folder(project) / "import.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(f"Another import is at work in {project}; wait until it has ended.") from error
    staged = target.with_name(f".{target.name}{_STAGED}")
    try:
        with _explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            for left in target.parent.glob(f".*{_STAGED}") if target.is_relative_to(project) else [staged]:
                shutil.rmtree(left, ignore_errors=True)  # what cannot be removed is in the way of its own name alone
            staged.mkdir()
            yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        lock.release()


def whole(folder: Path, target: Path) -> None:
    """Give a finished folder its name, in one move.

    Args:
        folder: what `new_folder` yielded, or a folder in it.
        target: as `new_folder` was told.
    """
    folder.rename(target)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentFault(
                f"The disk is full while {target} is made; free some space and try again."
            ) from error
        at = f": {error.filename}" if error.filename else ""
        raise EnvironmentFault(
            f"{target} cannot be made ({error.strerror or error}{at}); mend that, or name another place for it."
        ) from error
