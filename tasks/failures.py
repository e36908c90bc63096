"""What a failed stage leaves behind for whoever started it, because DVC turns every failure into exit code 255."""

import errno
import json
import shutil
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from adapters.json_files import write_plain_json
from adapters.project import state_folder
from transfer.errors import EnvironmentFault, RootstockError

FILE_NAME = "failure.json"
INTERRUPTED = 130
_FULL_BYTES = 1 << 20  # less than this, and no file of a stage fits any more


class HaltedError(RootstockError):
    """The run ended before its last stage, as params.yaml asks; nothing is at fault. Ends with exit code 3."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """How a stage failed.

    Args:
        stage: the stage's word.
        exit_code: 2 for the user's mistake, 3 where a run halts as asked, 1 for ours or the machine's, 130 for Ctrl-C.
        sentence: what to tell the user.
        traceback_file: where an unexpected error's traceback was written, else None.
    """

    stage: str
    exit_code: int
    sentence: str
    traceback_file: str | None = None


def explain(stage: str, error: BaseException, project: Path) -> Failure:
    """Turn an exception into what the user is told; an unexpected one leaves its traceback in a file."""
    if isinstance(error, RootstockError):
        return Failure(stage, error.exit_code, str(error))
    if not isinstance(error, Exception):  # Ctrl-C, or the signal by which Prefect cancels a run
        return Failure(stage, INTERRUPTED, f"{stage} was interrupted; run the same command again to go on.")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Failure(stage, 1, _full(stage))
    what = f"{stage} failed unexpectedly ({type(error).__name__}: {' '.join(str(error).split())})"
    try:
        written = state_folder(project) / "logs" / f"{stage}.traceback"
        written.parent.mkdir(exist_ok=True)
        written.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError as second:
        return Failure(stage, 1, f"{what}; its traceback could not be written ({second.strerror}).")
    return Failure(stage, 1, f"{what}; the traceback is in {written}.", str(written))


def unexplained(stage: str, project: Path, complaint: str, log: Path) -> EnvironmentFault:
    """Return the error for a stage that left no record: DVC failed, and does not say so when the disk is full.

    Args:
        stage: the stage's word.
        project: the project's folder.
        complaint: DVC's own words.
        log: file with everything that DVC and the stage printed.
    """
    places = [place for place in (project, project / "artifacts" / stage) if place.is_dir()]
    if min(shutil.disk_usage(place).free for place in places) < _FULL_BYTES:
        return EnvironmentFault(_full(stage))
    return EnvironmentFault(f"{stage} failed in DVC: {complaint}; everything it printed is in {log}.")


def leave(failure: Failure, project: Path) -> None:
    """Write the record; a machine too full to write it still ends with the sentence on stderr."""
    try:
        write_plain_json(state_folder(project) / FILE_NAME, asdict(failure))
    except EnvironmentFault:
        return


def clear(project: Path) -> None:
    """Remove the record of an earlier failure."""
    (state_folder(project) / FILE_NAME).unlink(missing_ok=True)


def last(project: Path) -> Failure | None:
    """Return the record of the last failed stage, if one was left."""
    path = state_folder(project) / FILE_NAME
    return Failure(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _full(stage: str) -> str:
    return f"The disk is full in {stage}; free some space and run the same command again."
