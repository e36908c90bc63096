"""Talk to DVC by its command line, in processes of their own, so that its output and working directory stay its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from adapters import dvc_busy, launch
from adapters.processes import die_with_parent
from transfer.errors import EnvironmentFault, UserError

_GRACE_S = 15.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class _Done:
    code: int
    out: str
    err: str


def command(*arguments: str) -> list[str]:
    """Return the command line that runs DVC with this Python."""
    return [sys.executable, "-m", "dvc", *arguments]


def status(project: Path) -> dict[str, Any]:
    """Return what `dvc status --json` says: {} when everything is up to date, else stage -> what changed.

    Raises:
        EnvironmentFault: DVC failed; its own words are quoted.
    """
    dvc_busy.forget_dead(project)
    done = _run("status", "--json", project=project)
    if done.code != 0:
        raise EnvironmentFault(f"`dvc status` failed: {_essence(done.err)}.")
    answer: dict[str, Any] = json.loads(done.out or "{}")
    return answer


def repro(
    project: Path,
    stage: str,
    log: Path,
    tick: Callable[[], None],
    *,
    run_cache: bool = True,
    alone: bool = False,
    force: bool = False,
) -> int:
    """Reproduce one stage and what it needs; return DVC's exit code. Ctrl-C here ends the whole process group first.

    Args:
        project: the project's folder.
        stage: name in dvc.yaml.
        log: file that receives what DVC and the stage print.
        tick: called about every 50 ms while it runs.
        run_cache: False to run the stage even where DVC remembers its outputs.
        alone: True to leave out what the stage needs, tracked data included, because it is known to be up to date.
        force: True to run the stage although nothing that DVC knows of has changed; with `alone`.
    """
    asked = {"--no-run-cache": not run_cache, "--single-item": alone, "--force": force}
    flags = [flag for flag, wanted in asked.items() if wanted]
    dvc_busy.forget_dead(project)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        return _finish(_start(("repro", *flags, stage), project, stream, stream), tick)


def add(project: Path, folder: str) -> None:
    """Track a folder inside the repository with `dvc add`.

    Raises:
        UserError: DVC refused; its own words are quoted.
    """
    done = _run("add", "-q", folder, project=project)
    if done.code != 0:
        raise UserError(f"`dvc add {folder}` failed: {_essence(done.err)}.")


def complaint_of(project: Path, *arguments: str) -> str:
    """Run a DVC command; return why it failed in DVC's own words, "" when it did not."""
    done = _run(*arguments, project=project)
    return "" if done.code == 0 else _essence(done.err)


def complaint(log: Path) -> str:
    """Return the last error line that DVC left in a log, or a note that it left none."""
    return _essence(log.read_text(encoding="utf-8", errors="replace"))


def outputs(project: Path) -> list[Path]:
    """Return every output that dvc.yaml names, relative to the project."""
    from ruamel.yaml import YAML

    stages = YAML(typ="safe", pure=True).load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = (out for stage in stages.values() for out in (*stage.get("outs", ()), *stage.get("metrics", ())))
    return [Path(next(iter(out)) if isinstance(out, dict) else out) for out in outs]


def _run(*arguments: str, project: Path) -> _Done:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out, tempfile.TemporaryFile("w+", encoding="utf-8") as err:
        code = _finish(_start(arguments, project, out, err), lambda: None)
        for stream in (out, err):
            stream.seek(0)
        return _Done(code, out.read(), err.read())


def _start(
    arguments: tuple[str, ...], project: Path, out: IO[str], err: IO[str]
) -> "subprocess.Popen[bytes] | launch.Copy":
    """Start DVC in a session of its own: as a copy of the warm process where there is one for this directory."""
    with Path(os.devnull).open("rb") as nothing:
        streams = (nothing.fileno(), out.fileno(), err.fileno())
        if project.samefile(Path.cwd()):
            copy = launch.ask(("dvc", *arguments), streams, _environment(), leads=True)
            if copy is not None:
                return copy
        return subprocess.Popen(
            command(*arguments),
            cwd=project,
            env=_environment(),
            stdin=nothing,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - it only calls prctl
        )


def _finish(process: "subprocess.Popen[bytes] | launch.Copy", tick: Callable[[], None]) -> int:
    """Wait for the exit code; whatever interrupts that ends the whole process group first."""
    try:
        while (code := _code(process, _POLL_S)) is None:
            tick()
    except BaseException:
        _end_group(process)
        raise
    return code


def _code(process: "subprocess.Popen[bytes] | launch.Copy", timeout_s: float) -> int | None:
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None


def _end_group(process: "subprocess.Popen[bytes] | launch.Copy") -> None:
    """End DVC, its shell and the stage, and wait for the last of them: a stage may outlive the DVC that began it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        if _gone(process, time.monotonic() + _GRACE_S):
            return


def _gone(process: "subprocess.Popen[bytes] | launch.Copy", deadline: float) -> bool:
    while time.monotonic() < deadline:
        ended = _code(process, 0.0) is not None
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return ended
        time.sleep(_POLL_S)
    return False


def _environment() -> Mapping[str, str]:
    """Put this Python's folder first on PATH: a project without a `.venv` runs its stages with the same Python."""
    folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": folder + os.pathsep + os.environ.get("PATH", "")}


def _essence(text: str) -> str:
    """Return DVC's last error as part of a sentence; one that ends in a colon goes on in the line below."""
    lines = text.splitlines()
    found = [place for place, line in enumerate(lines) if line.startswith("ERROR: ")]
    if not found:
        return "it left no message"
    error = lines[found[-1]].removeprefix("ERROR: ")
    below = " ".join(lines[found[-1] + 1 : found[-1] + 2]).strip() if error.endswith(":") else ""
    return f"{error} {below}".strip().rstrip(".")
