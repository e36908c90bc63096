"""Run one stage as a process: under a Prefect API when one answers, plainly otherwise, always with one clear ending."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from prefect import Flow

from adapters import environment
from adapters.json_files import write_plain_json
from adapters.locks import stage_lock
from adapters.prefect_api import running_api
from adapters.processes import die_with_parent, end_when_orphaned, keep_freed_memory
from tasks import failures, step
from transfer.errors import EnvironmentFault, UserError

_observed: dict[str, Any] = {}


def run_stage(stage_flow: Flow[[], None], follow: Callable[[], None] | None = None) -> NoReturn:
    """Run a stage's flow to its end and exit: 0, 2 for the user's mistake, 1 for ours, 130 for Ctrl-C.

    Args:
        stage_flow: the stage's flow; its name is the stage's word.
        follow: what a process does that was started to share the work of another one, which runs the flow; None where
            the work cannot be shared.
    """
    project, word = Path.cwd(), stage_flow.name
    if environment.follows():
        _follow(word, follow)
    environment.prepare(project)
    environment.quieten_prefect()
    environment.put(environment.STAGE, word)
    environment.put(environment.STAGE_STARTED_MS, str(int(time.time() * 1000)))
    die_with_parent()
    end_when_orphaned()
    keep_freed_memory()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    started = time.perf_counter()
    failures.clear(project)
    try:
        _refuse_detached_experiment(project)
        with stage_lock(project):
            _run(stage_flow, project)
            _observe(project, word, time.perf_counter() - started)
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        failure = failures.explain(word, error, project)
        failures.leave(failure, project)
        print(failure.sentence, file=sys.stderr)
        sys.exit(failure.exit_code)
    sys.exit(0)


def _follow(word: str, follow: Callable[[], None] | None) -> NoReturn:
    """Take part in the work of the process that runs the flow: it reports for all, unless it cannot know."""
    environment.prepare(Path.cwd())
    environment.put(environment.PROGRESS_FILE, os.devnull)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the process that reports ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if follow is None:
        print(f"{word} runs in one process; start it without torchrun.", file=sys.stderr)
        sys.exit(UserError.exit_code)
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            follow()
    except EnvironmentFault:
        sys.exit(1)
    except UserError as error:
        print(f"{word}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    sys.exit(0)


def _run(stage_flow: Flow[[], None], project: Path) -> None:
    url = running_api(project)
    if url is None:
        stage_flow.fn()
        return
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from tasks.prefect_runs import run_as_child

    # The pipeline's own run beats for its stages: the end of a run waits up to a second for the thread that does.
    with temporary_settings({PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        run_as_child(stage_flow, environment.get(environment.PARENT_TASK_RUN))


def observe(name: str, found: Any) -> None:
    """Note something that was measured, for the stage's observed.json, which no other stage reads.

    Args:
        name: of the entry.
        found: JSON-able.
    """
    _observed[name] = found


def _observe(project: Path, word: str, total_s: float) -> None:
    seconds = {name: round(value, 3) for name, value in step.SECONDS.items()}
    content = {"seconds": {"total": round(total_s, 3), "steps": seconds}, **_observed}
    write_plain_json(project / "artifacts" / word / "observed.json", content)


def _refuse_detached_experiment(project: Path) -> None:
    root = environment.get("DVC_ROOT")
    if root is not None and Path(root).resolve() != project.resolve():
        raise UserError(
            "`dvc exp run --temp` and `--queue` run in a copy without the project's data, registry and server; "
            "use `dvc exp run -S key=value` in the workspace instead."
        )


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt
