"""Start everything a project can show: the Prefect server, a worker with the nightly deployment, the MLflow UI."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from adapters import environment, prefect_api, prefect_commands, servers
from adapters.answering import HOST
from adapters.locks import holder_of
from adapters.project import enter_project, state_folder
from adapters.servers import Server
from tasks.params import PARAMS_FILE, read_params
from transfer.errors import EnvironmentFault, UserError

POOL = "local"
DEPLOYMENT = "pipeline/nightly"
_POLL_S = 0.5


def serve(prefect_port: int, mlflow_port: int) -> None:
    """Run the servers until Ctrl-C or SIGTERM, then stop all of them.

    Args:
        prefect_port: TCP port of the Prefect API and UI, 1 to 65535.
        mlflow_port: TCP port of the MLflow UI, 1 to 65535.

    Raises:
        UserError: a port is taken.
        EnvironmentFault: a server did not start, or one died; all others are stopped.
        KeyboardInterrupt: Ctrl-C; SIGTERM ends without an error.
    """
    project = enter_project()
    environment.prepare(project)
    servers.require_free_port(prefect_port, "Prefect server", "--prefect-port")
    servers.require_free_port(mlflow_port, "MLflow UI", "--mlflow-port")
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    with _running(project, prefect_port, mlflow_port) as started:
        _show(project, prefect_port, mlflow_port)
        while True:
            _watch(started)
            time.sleep(_POLL_S)


@contextmanager
def _running(project: Path, prefect_port: int, mlflow_port: int) -> Iterator[list[Server]]:
    """Start all, deploy, and stop all in the end: the worker first, so that it can still report how its runs ended."""
    started: list[Server] = []
    api = f"http://{HOST}:{prefect_port}/api"
    try:
        started.append(servers.start_prefect_server(project, prefect_port))
        started.append(servers.start_mlflow(project, mlflow_port))
        servers.wait_until(started[0], "/api/health")
        _bury_ghosts(project, api)
        started.append(servers.start_worker(project, api, POOL))
        wait_for_worker(started[2], api)
        prefect_commands.deploy(project, api)
        servers.wait_until(started[1], "/health")
        prefect_api.note_running(project, {"prefect_api": api, "mlflow_ui": started[1].address})
        yield started
    finally:
        prefect_api.forget_running(project)
        for server in reversed(started):
            if server is started[0] and server.alive():
                with contextlib.suppress(EnvironmentFault):  # the next start tries again
                    _bury_ghosts(project, api)
            servers.stop(server)


def _bury_ghosts(project: Path, api: str) -> None:
    """Give runs that were killed their true state.

    A run that holds the project's lock is alive and left alone, and so are all runs where other projects may share the
    server's database: whether those are alive cannot be told here.
    """
    if holder_of(state_folder(project) / "run.lock") is None and prefect_api.is_its_own(api, project):
        prefect_commands.bury_ghosts(api, "Its process is gone, and nothing runs in this project.")


def wait_for_worker(worker: Server, api: str) -> None:
    """Wait until the worker has reported to the API, which also makes its work pool.

    Raises:
        EnvironmentFault: it died or stayed silent; the sentence quotes the end of its log.
    """
    deadline = time.monotonic() + servers.START_TIMEOUT_S
    while not prefect_commands.has_online_worker(api, POOL):
        if not worker.alive():
            raise servers.fallen(worker)
        if time.monotonic() > deadline:
            raise EnvironmentFault(
                f"The {worker.name} did not come online; its log {worker.log} says: {worker.last_lines()}"
            )
        time.sleep(_POLL_S)


def _watch(started: list[Server]) -> None:
    for server in started:
        if not server.alive():
            raise servers.fallen(server)


def _show(project: Path, prefect_port: int, mlflow_port: int) -> None:
    from rich.console import Console
    from rich.markup import escape

    api = f"http://{HOST}:{prefect_port}/api"
    prefix = "" if prefect_port == servers.DEFAULT_PREFECT_PORT else f"PREFECT_API_URL={api} "
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]Prefect UI[/]   http://{HOST}:{prefect_port}   runs, schedules, logs")
    console.print(f"[bold]MLflow UI[/]    {_mlflow_page(mlflow_port)}   metrics, plots, models")
    console.print(f"[bold]Deployment[/]   {DEPLOYMENT}, nightly; run it now, in {escape(str(project))}, with")
    console.print(f"             {prefix}.venv/bin/prefect deployment run {DEPLOYMENT}", markup=False)
    for sentence in _other_data(project):
        console.print(f"Note: {sentence}", markup=False)
    console.print("Ctrl-C stops everything; logs are in .rootstock/logs.")
    console.file.flush()


def _other_data(project: Path) -> list[str]:
    """Say which deployments train other data than params.yaml names."""
    try:
        data = read_params(project / PARAMS_FILE).data
    except UserError:  # `rootstock run` says what is wrong with it; what has run can be looked at all the same
        return []
    return [
        f"the deployment {name} trains {deployed}, not {data.path} as data.path in params.yaml says; "
        f"edit data_path in prefect.yaml and start this again, or data.path in params.yaml."
        for name, deployed in prefect_commands.deployed_data_paths(project).items()
        if os.path.normpath(project / deployed) not in (os.path.normpath(project / path) for path in data.names())
    ]


def _mlflow_page(port: int) -> str:
    """Return the page with the training runs; without the type of work MLflow opens its pages for language models."""
    return f"http://{HOST}:{port}/#/experiments?workflowType=machine_learning"


def _end(*_: object) -> NoReturn:
    raise SystemExit(0)
