"""Start, watch and stop the project's servers: the Prefect API, its worker, the MLflow UI; all on 127.0.0.1."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters import empty_databases, environment
from adapters.answering import HOST, answers
from adapters.prefect_api import DATABASE_SETTINGS
from adapters.project import state_folder
from transfer.errors import EnvironmentFault, UserError

DEFAULT_PREFECT_PORT = 4200  # the one prefect.toml names
START_TIMEOUT_S = 120.0  # a first start migrates the database: 9 s alone, more on a busy machine
_GRACE_S = 10.0
_POLL_S = 0.05
_LAST_LINES = 5

# What a server that lives for one run does not need; nothing here touches recording.
_TEMPORARY_SETTINGS = {
    "PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START": "false",
    **{
        f"PREFECT_SERVER_{name}_ENABLED": "false"
        for name in ("UI", "SERVICES_SCHEDULER", "SERVICES_LATE_RUNS", "SERVICES_TRIGGERS", "SERVICES_FOREMAN")
    },
}


@dataclass(frozen=True)
class Server:
    """A running server.

    Args:
        name: what the user calls it.
        address: where it answers; empty for a worker, which only asks.
        log: file that takes its output.
        process: its supervisor; its standard input is the leash.
    """

    name: str
    address: str
    log: Path
    process: "subprocess.Popen[bytes]"

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.poll() is None

    def last_lines(self) -> str:
        """Return the end of its log on one line."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return " | ".join([line.strip() for line in lines if line.strip()][-_LAST_LINES:]) or "its log is empty"


def start_prefect_server(project: Path, port: int, *, temporary: bool = False) -> Server:
    """Start the Prefect API on the project's own database.

    Args:
        project: the project's root.
        port: TCP port on 127.0.0.1.
        temporary: without UI and schedules, for the duration of one run.
    """
    environment.prepare(project)
    home = environment.get("PREFECT_HOME")
    if home is not None and not any(environment.get(name) for name in DATABASE_SETTINGS):
        empty_databases.lay_down(empty_databases.PREFECT, Path(home) / "prefect.db")
    address = f"http://{HOST}:{port}"
    settings = {
        "PREFECT__SERVER_FINAL": "1",  # as `prefect server start` does: serve this app only
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_UI_API_URL": f"{address}/api",
        **(_TEMPORARY_SETTINGS if temporary else {}),
    }
    # The application itself instead of `prefect server start`: 0.4 s faster, and one process to end instead of two.
    application = ["-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", "--log-level", "warning"]
    command = [sys.executable, *application, "--host", HOST, "--port", str(port), "--timeout-keep-alive", "5"]
    return _start("Prefect server", address, command, project, settings)


def start_worker(project: Path, api_url: str, pool: str) -> Server:
    """Start a process worker that polls a work pool every 2 s.

    Args:
        project: the project's root, which the deployment's pull step reads as ROOTSTOCK_PROJECT.
        api_url: the API to ask.
        pool: the work pool's name; made when it is missing.
    """
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    settings = {"PREFECT_API_URL": api_url, "ROOTSTOCK_PROJECT": str(project), "PREFECT_WORKER_QUERY_SECONDS": "2"}
    return _start("Prefect worker", "", command, project, settings)


def start_mlflow(project: Path, port: int) -> Server:
    """Start the MLflow UI on the project's store; it also shows artifacts that runs wrote straight to the files."""
    store = project / "mlruns"
    (store / "artifacts").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}"]
    command += ["--default-artifact-root", str(store / "artifacts")]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return _start("MLflow UI", f"http://{HOST}:{port}", command, project, settings)


def start_warm_process(project: Path, address: Path, groups: Sequence[Sequence[str]]) -> Server:
    """Start the process whose copies run stages and DVC; see `adapters/warm_process.py`.

    Args:
        project: the project's root.
        address: its socket, relative to the project.
        groups: the packages that it imports, what is needed first in the first group.
    """
    command = [sys.executable, str(Path(__file__).with_name("warm_process.py")), str(address), *map(",".join, groups)]
    return _start("warm process", "", command, project, {})


def wait_until(server: Server, path: str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Wait until a server answers.

    Args:
        server: the server.
        path: what to ask for, for example "/api/health".
        timeout_s: seconds to wait, above 0.

    Raises:
        EnvironmentFault: it died or stayed silent; the sentence quotes the end of its log.
    """
    deadline = time.monotonic() + timeout_s
    while not answers(server.address + path, timeout_s=1.0):
        if not server.alive():
            raise fallen(server)
        if time.monotonic() > deadline:
            raise EnvironmentFault(
                f"The {server.name} did not answer on {server.address} within {timeout_s:.0f} s; "
                f"its log {server.log} ends with: {server.last_lines()}"
            )
        time.sleep(_POLL_S)


def fallen(server: Server) -> EnvironmentFault:
    """Return the error for a server that ended by itself."""
    return EnvironmentFault(
        f"The {server.name} stopped with exit status {server.process.poll()}; mend what its log {server.log} says and "
        f"start again: {server.last_lines()}"
    )


def stop(server: Server) -> None:
    """End a server and everything it started: SIGINT, then SIGTERM, then SIGKILL, seconds apart."""
    if server.process.stdin:
        with contextlib.suppress(BrokenPipeError):
            server.process.stdin.close()
    try:
        server.process.wait(2 * _GRACE_S)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()


def find_free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free_port(port: int, name: str, flag: str) -> None:
    """Refuse a port that is taken.

    Raises:
        UserError: somebody listens on it, or it is no port this user may open.
    """
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except (OSError, OverflowError) as error:
        raise UserError(
            f"Port {port} for the {name} cannot be used ({getattr(error, 'strerror', None) or error}); "
            f"stop what uses it or choose another one with {flag} PORT, for example {flag} {find_free_port()}."
        ) from error


def _start(name: str, address: str, command: list[str], project: Path, settings: Mapping[str, str]) -> Server:
    environment.prepare(project)
    log = state_folder(project) / "logs" / f"{name.lower().replace(' ', '-')}.log"
    log.parent.mkdir(exist_ok=True)
    supervisor = [sys.executable, "-E", "-S", str(Path(__file__).with_name("supervise.py")), str(_GRACE_S)]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*supervisor, *command],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=project,
            env=os.environ | dict(settings),
            start_new_session=True,
        )
    return Server(name, address, log, process)
