"""`rootstock up`: everything healthy and deployed, or one sentence; everything gone afterwards."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import prefect_api, prefect_commands, servers
from adapters.answering import HOST, api_answers
from adapters.locks import project_lock
from tasks import up
from transfer.errors import EnvironmentFault, UserError

FLOW = """
from typing import Any
from prefect import flow

@flow(name="pipeline")
def pipeline(data_path: str | None = None, settings: dict[str, Any] | None = None) -> None:
    return None
"""


@pytest.mark.parametrize("flag", ["--prefect-port", "--mlflow-port"])
def test_taken_port_is_refused_before_anything_starts(
    project: Path, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_start", lambda *_: pytest.fail("a server was started"))
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        ports = [servers.find_free_port(), servers.find_free_port()]
        ports[flag == "--mlflow-port"] = holder.getsockname()[1]
        with pytest.raises(UserError, match=flag):
            up.serve(*ports)


def test_server_that_dies_is_named_and_all_others_are_stopped(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleeping(name: str, code: str = "import time; time.sleep(60)") -> servers.Server:
        return servers._start(name, "http://127.0.0.1:9", [sys.executable, "-c", code], project, {})

    started = [
        sleeping("Prefect server"),
        sleeping("Prefect worker"),
        sleeping("MLflow UI", "raise SystemExit('no store')"),
    ]
    monkeypatch.setattr(servers, "start_prefect_server", lambda *_: started[0])
    monkeypatch.setattr(servers, "start_worker", lambda *_: started[1])
    monkeypatch.setattr(servers, "start_mlflow", lambda *_: started[2])
    monkeypatch.setattr(servers, "wait_until", lambda *_: None)
    monkeypatch.setattr(prefect_commands, "deploy", lambda *_: None)
    monkeypatch.setattr(prefect_commands, "bury_ghosts", lambda *_: 0)
    monkeypatch.setattr(prefect_commands, "has_online_worker", lambda *_: True)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(EnvironmentFault, match=r"MLflow UI stopped with exit status 1.*no store"):
        up.serve(servers.find_free_port(), servers.find_free_port())
    assert [server.alive() for server in started] == [False, False, False]
    assert prefect_api.read_running(project) == {}


def test_runs_are_buried_only_while_nothing_holds_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buried: list[str] = []
    monkeypatch.setattr(prefect_commands, "bury_ghosts", lambda api, _: buried.append(api))
    with project_lock(project):
        up._bury_ghosts(project, "busy")
    up._bury_ghosts(project, "free")
    assert buried == ["free"]


@pytest.mark.service
@pytest.mark.parametrize(("name", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_everything_is_up_and_then_gone(project: Path, root: Path, name: signal.Signals, code: int) -> None:
    (project / "flows").mkdir()
    (project / "flows" / "pipeline.py").write_text(FLOW, encoding="utf-8")
    for copied in ("prefect.yaml", "prefect.toml"):
        (project / copied).write_bytes((root / copied).read_bytes())
    ports = servers.find_free_port(), servers.find_free_port()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    command = [sys.executable, "-m", "flows.cli", "up", "--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    process = subprocess.Popen(
        command, cwd=project, env={**inherited, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    shown = "".join(lines)
    assert f"http://127.0.0.1:{ports[0]}" in shown
    assert f"http://127.0.0.1:{ports[1]}" in shown
    assert prefect_api.running_api(project) or api_answers(f"http://127.0.0.1:{ports[0]}/api")
    process.send_signal(name)
    assert process.wait(60) == code
    process.stdout.close()
    for port in ports:
        servers.require_free_port(port, "x", "x")
    assert prefect_api.read_running(project) == {}
