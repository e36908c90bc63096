"""Servers: healthy or explained, and gone with everything they started when their starter is."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters import prefect_api, servers
from adapters.answering import api_answers
from transfer.errors import EnvironmentFault, UserError

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def start(project: Path, code: str) -> servers.Server:
    return servers._start("test server", "http://127.0.0.1:9", [sys.executable, "-c", code], project, {})


def logged(log: Path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        if text.endswith("\n"):
            return text.strip()
        time.sleep(0.01)
    raise AssertionError(log)


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or while it was read
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_stopping_ends_the_server_and_its_children(tmp_path: Path) -> None:
    server = start(tmp_path, FAMILY)
    child = int(logged(server.log))
    servers.stop(server)
    assert not server.alive()
    assert gone(child)


def test_child_in_a_session_of_its_own_ends_too(tmp_path: Path) -> None:
    server = start(tmp_path, FAMILY.replace("])", "], start_new_session=True)", 1))
    child = int(logged(server.log))
    servers.stop(server)
    assert gone(child)


def test_server_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_GRACE_S", 0.2)
    server = start(tmp_path, STUBBORN)
    logged(server.log)
    started = time.monotonic()
    servers.stop(server)
    assert not server.alive()
    assert time.monotonic() - started < 5


def test_killed_starter_leaves_nothing_behind(tmp_path: Path, root: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import pathlib, time; from adapters import servers\n"
        f"s = servers._start('test server', '', [sys.executable, '-c', {FAMILY!r}],"
        f" pathlib.Path({str(tmp_path)!r}), {{}})\n"
        "time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code])
    child = int(logged(tmp_path / ".rootstock" / "logs" / "test-server.log"))
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    assert gone(child)


def test_server_ignores_the_terminals_ctrl_c(tmp_path: Path) -> None:
    server = start(tmp_path, FAMILY)
    logged(server.log)
    assert os.getpgid(server.process.pid) != os.getpgid(0)
    servers.stop(server)


def test_dead_server_is_explained_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = start(tmp_path, "print('first'); raise SystemExit('the database is damaged')")
    with pytest.raises(EnvironmentFault, match=r"test server stopped with exit status 1.*the database is damaged"):
        servers.wait_until(server, "/health", timeout_s=20)
    servers.stop(server)


def test_silent_server_is_explained_after_the_deadline(tmp_path: Path) -> None:
    server = start(tmp_path, "import time; print('thinking', flush=True); time.sleep(60)")
    logged(server.log)
    with pytest.raises(EnvironmentFault, match=r"did not answer on http://127.0.0.1:9 within 0 s.*thinking"):
        servers.wait_until(server, "/health", timeout_s=0.1)
    servers.stop(server)


def test_taken_port_names_the_flag_and_another_port() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(UserError, match=rf"Port {port} for the MLflow UI .* --mlflow-port PORT, for example"):
            servers.require_free_port(port, "MLflow UI", "--mlflow-port")
    servers.require_free_port(servers.find_free_port(), "MLflow UI", "--mlflow-port")


@pytest.mark.service
def test_temporary_server_records_in_the_project_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / ".prefect"))
    server = servers.start_prefect_server(tmp_path, servers.find_free_port(), temporary=True)
    try:
        servers.wait_until(server, "/api/health")
        assert prefect_api.is_its_own(f"{server.address}/api", tmp_path)
        assert not prefect_api.is_its_own(f"{server.address}/api", tmp_path / "other")
        assert (tmp_path / ".prefect" / "prefect.db").is_file()
    finally:
        servers.stop(server)
    assert not api_answers(f"{server.address}/api")


@pytest.mark.service
def test_mlflow_shows_artifacts_that_a_run_wrote_straight_to_the_files(tmp_path: Path) -> None:
    import urllib.request

    (tmp_path / "mlruns").mkdir()
    code = (
        "import mlflow; mlflow.set_tracking_uri('sqlite:///mlruns/mlflow.db')\n"
        "mlflow.create_experiment('e', artifact_location='mlruns/artifacts'); mlflow.set_experiment('e')\n"
        "with mlflow.start_run() as run: mlflow.log_text('hello', 'a.txt')\n"
        "print(run.info.run_id)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    run_id = done.stdout.split()[-1]
    server = servers.start_mlflow(tmp_path, servers.find_free_port())
    try:
        servers.wait_until(server, "/health")
        with urllib.request.urlopen(f"{server.address}/get-artifact?path=a.txt&run_uuid={run_id}") as answer:  # noqa: S310
            assert answer.read() == b"hello"
    finally:
        servers.stop(server)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to the supervisor")
def test_orphans_are_buried_while_the_server_lives(project: Path) -> None:
    script = "(sh -c 'echo $$ > orphan; exec sleep 0.2' &); sleep 30"
    server = servers._start("Prefect worker", "", ["sh", "-c", script], project, {})
    note, deadline = project / "orphan", time.monotonic() + 10
    while time.monotonic() < deadline and not (note.exists() and note.read_text()):
        time.sleep(0.02)
    orphan = Path("/proc") / note.read_text().strip()
    while time.monotonic() < deadline and orphan.exists():
        time.sleep(0.02)
    assert not orphan.exists()
    assert server.alive()
    servers.stop(server)
