"""Talk to DVC by its command line, in processes of their own, so that its output and working directory stay its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from adapters import dvc_busy
from adapters.processes import die_with_parent
from transfer.errors import EnvironmentFault, UserError

_GRACE_S = 15.0
_POLL_S = 0.05


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
    if done.returncode != 0:
        raise EnvironmentFault(f"`dvc status` failed: {_essence(done.stderr)}.")
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    return answer


def repro(project: Path, stage: str, log: Path, tick: Callable[[], None], run_cache: bool = True) -> int:
    """Reproduce one stage and what it needs; return DVC's exit code. Ctrl-C here ends the whole process group first.

    Args:
        project: the project's folder.
        stage: name in dvc.yaml.
        log: file that receives what DVC and the stage print.
        tick: called about every 50 ms while it runs.
        run_cache: False to run the stage even where DVC remembers its outputs.
    """
    flags = () if run_cache else ("--no-run-cache",)
    dvc_busy.forget_dead(project)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        process = _start(command("repro", *flags, stage), project, stream)
        try:
            while process.poll() is None:
                tick()
                try:
                    process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            _end_group(process)
            raise
    return process.returncode


def add(project: Path, folder: str) -> None:
    """Track a folder inside the repository with `dvc add`.

    Raises:
        UserError: DVC refused; its own words are quoted.
    """
    done = _run("add", "-q", folder, project=project)
    if done.returncode != 0:
        raise UserError(f"`dvc add {folder}` failed: {_essence(done.stderr)}.")


def complaint(log: Path) -> str:
    """Return the last error line that DVC left in a log, or a note that it left none."""
    return _essence(log.read_text(encoding="utf-8", errors="replace"))


def outputs(project: Path) -> list[Path]:
    """Return every output that dvc.yaml names, relative to the project."""
    from ruamel.yaml import YAML

    stages = YAML(typ="safe", pure=True).load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = (out for stage in stages.values() for out in (*stage.get("outs", ()), *stage.get("metrics", ())))
    return [Path(next(iter(out)) if isinstance(out, dict) else out) for out in outs]


def _run(*arguments: str, project: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), cwd=project, env=_environment(), capture_output=True, text=True, check=False
    )


def _start(arguments: list[str], project: Path, stream: IO[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        arguments,
        cwd=project,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - it only calls prctl
    )


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End DVC, its shell and the stage, and wait for the last of them: a stage may outlive the DVC that began it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        if _gone(process, time.monotonic() + _GRACE_S):
            return


def _gone(process: "subprocess.Popen[bytes]", deadline: float) -> bool:
    while time.monotonic() < deadline:
        ended = process.poll() is not None
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
