"""Make a registered model again, from its own data, code and parameters, and say whether it is the same."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adapters import dvc_commands, environment
from adapters.project import enter_project, state_folder
from adapters.version_records import Version
from adapters.working_copies import apart, room
from tasks import failures
from tasks.live import shown
from tasks.reproduce_compare import Comparison, compare
from tasks.reproduce_copy import Origin, changed_code, lay_out, moved, read_origin, require_data
from tasks.versions import resolve
from tasks.warm import warm_process
from transfer.errors import EnvironmentFault, UserError

TOLERANCE = 0.01  # of a probability, see docs/lineage.md


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A model that was made again.

    Args:
        version: of the registered model.
        comparison: with the one that was made again.
        moved: what is another one here than then, packages and the machine, a phrase each.
        strange: files of code that are not as recorded.
        seconds: stage -> wall time of its run; copying is under "copy".
        copy: the working copy, where it was kept.
    """

    version: Version
    comparison: Comparison
    moved: tuple[str, ...]
    strange: tuple[str, ...]
    seconds: dict[str, float]
    copy: Path | None


def reproduce(
    target: str, tell: Callable[[str], None], *, into: Path | None = None, keep: bool = False, tolerance: float
) -> Reproduction:
    """Make a registered model again in a working copy.

    The project itself is only read: its registry, ledger, memory, cache and runs stay as they are.

    Args:
        target: NAME, NAME@ALIAS or NAME/VERSION.
        tell: is given a sentence before what takes long.
        into: folder for the copy, empty or not there; one below the project's state when None.
        keep: whether the copy stays.
        tolerance: difference of a probability that counts as none.

    Raises:
        UserError: there is no such version, what made it cannot be brought back, or the tolerance is no probability.
        EnvironmentFault: git, DVC or the store failed, or a stage failed on this machine.
    """
    if not 0 <= tolerance <= 1:
        raise UserError(f"--tolerance is {tolerance:g}, but must be a number from 0 to 1; change it and run again.")
    into = None if into is None else into.expanduser().absolute()
    project = enter_project()
    environment.prepare(project)
    origin = read_origin(project, resolve(project, target))
    differing = tuple(moved(origin))
    if differing:
        tell(f"Note: {_listed(differing)}; it runs with what is here now.")
    began = time.perf_counter()
    with room(project, into, keep=keep) as folder:
        copy = lay_out(project, origin, folder)
        strange = tuple(changed_code(origin, copy))
        if strange:
            tell(f"Note: the code is not as DVC recorded it: {_listed(strange)}.")
        seconds = {"copy": round(time.perf_counter() - began, 1), **rerun(origin, copy, tell)}
        comparison = compare(project, origin, copy, tolerance)
    return Reproduction(origin.version, comparison, differing, strange, seconds, copy if keep else None)


def rerun(origin: Origin, copy: Path, tell: Callable[[str], None]) -> dict[str, float]:
    """Run every stage of a copy; return the seconds of each.

    Args:
        origin: what made the version.
        copy: as `lay_out` made it.
        tell: is given the name of each stage before it.

    Raises:
        UserError: the data are not those that the version was made from.
        EnvironmentFault: a stage failed.
    """
    seconds: dict[str, float] = {}
    with apart(copy), warm_process(copy):
        for place, stage in enumerate(origin.stages):
            if not sys.stderr.isatty():  # where a line is drawn for each stage
                tell(f"{stage} ({place + 1} of {len(origin.stages)})")
            began = time.perf_counter()
            _run(copy, stage, first=place == 0)
            seconds[stage] = round(time.perf_counter() - began, 1)
            require_data(origin, copy)
    return seconds


def _run(copy: Path, stage: str, *, first: bool) -> None:
    log = state_folder(copy) / "logs" / f"{stage}.log"
    failures.clear(copy)
    with shown(copy, stage) as tick:
        code = dvc_commands.repro(copy, stage, log, tick, run_cache=False, alone=not first)
    if code == 0:
        return
    failure = failures.last(copy)
    if failure is not None and failure.exit_code == failures.INTERRUPTED:
        raise KeyboardInterrupt
    sentence = failure.sentence if failure is not None else dvc_commands.complaint(log)
    kind = UserError if failure is not None and failure.exit_code == UserError.exit_code else EnvironmentFault
    raise kind(f"{stage} cannot be run again as it was: {sentence}")


def _listed(phrases: tuple[str, ...]) -> str:
    more = f" and {len(phrases) - 3} more" if len(phrases) > 3 else ""
    return f"{', '.join(phrases[:3])}{more}"
