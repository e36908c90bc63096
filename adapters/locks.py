"""One writer per project: file locks that the kernel releases when their holder dies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters import environment
from adapters.project import state_folder
from transfer.errors import EnvironmentFault, UserError


class ProjectBusyError(UserError):
    """Another pipeline run, stage or repro is writing to this project."""


@contextmanager
def project_lock(project: Path) -> Iterator[None]:
    """Hold the project's lock for a pipeline run; its children know the holder by the environment.

    Raises:
        ProjectBusyError: another process holds it.
    """
    with _held(state_folder(project) / "run.lock"):
        environment.put(environment.LOCK_HOLDER, str(os.getpid()))
        try:
            yield
        finally:
            environment.drop(environment.LOCK_HOLDER)


@contextmanager
def stage_lock(project: Path) -> Iterator[None]:
    """Hold the lock of a single stage; a stage that no pipeline started also needs the project to be free.

    A stage process outlives a killed `dvc repro` and keeps writing: the lock keeps a second writer out.

    Raises:
        ProjectBusyError: another stage or pipeline run is at work here.
        EnvironmentFault: the pipeline run that started this process was killed before the stage began.
    """
    folder = state_folder(project)
    if environment.get(environment.LOCK_HOLDER) is None:
        with _held(folder / "run.lock"), _held(folder / "stage.lock"):
            yield
    elif holder_of(folder / "run.lock") is None:
        raise EnvironmentFault("The pipeline run that started this stage is gone; run `rootstock run` again to go on.")
    else:
        with _held(folder / "stage.lock"):
            yield


def refuse_if_busy(project: Path) -> None:
    """Refuse to begin while another process holds the project's lock.

    Raises:
        ProjectBusyError: it is held now.
    """
    with _held(state_folder(project) / "run.lock"):
        return


def holder_of(lock: Path) -> int | None:
    """Return the process id written by the holder of a lock file that is held now, else None."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            return None
    except Timeout:
        return _written_pid(lock)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        pid = _written_pid(path)
        who = f"process {pid}" if pid else "another process"
        raise ProjectBusyError(
            f"{path.parent.parent} is busy: {who} is running its pipeline; wait until it ends or stop it, "
            "then try again."
        ) from error
    note = path.with_suffix(".pid")
    try:
        note.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _written_pid(lock: Path) -> int | None:
    try:
        return int(lock.with_suffix(".pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
