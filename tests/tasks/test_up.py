"""`rootstock up`: everything healthy and deployed, or one sentence; everything gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
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


def test_runs_are_buried_only_while_nothing_holds_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, answering: Callable[[str], AbstractContextManager[str]]
) -> None:
    buried: list[str] = []
    monkeypatch.setattr(prefect_commands, "bury_ghosts", lambda api, _: buried.append(api))
    with answering(str(project / ".prefect")) as api:
        with project_lock(project):
            up._bury_ghosts(project, api)
        assert buried == []
        up._bury_ghosts(project, api)
        assert buried == [api]


@pytest.mark.service
@pytest.mark.parametrize(("home", "state"), [(".prefect", "CRASHED"), ("../shared", "RUNNING")])
def test_runs_of_a_state_that_projects_share_are_left_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, home: str, state: str
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(project / home))
    server = servers.start_prefect_server(project, servers.find_free_port(), temporary=True)
    api = f"{server.address}/api"
    try:
        servers.wait_until(server, "/api/health")
        flow = prefect_commands._ask(f"{api}/flows/", {"name": "of another project"})
        running = {"flow_id": flow["id"], "state": {"type": "RUNNING", "name": "Running"}}
        prefect_commands._ask(f"{api}/flow_runs/", running)
        up._bury_ghosts(project, api)
        (found,) = prefect_commands._ask(f"{api}/flow_runs/filter", {})
        assert found["state_type"] == state
    finally:
        servers.stop(server)


def test_what_is_up_is_said_without_markup(
    project: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(root / "prefect.yaml", project / "prefect.yaml")
    work = project.rename(tmp_path / "[work]")
    up._show(work, 4200, 5000)
    shown = capsys.readouterr().out
    assert f"run it now, in {work}, with\n" in shown
    assert "Note" not in shown


@pytest.mark.parametrize(("path", "n_notes"), [("./data/digits/", 0), ("../my [2] photos", 1)])
def test_deployment_of_other_data_is_pointed_out(
    project: Path, root: Path, capsys: pytest.CaptureFixture[str], path: str, n_notes: int
) -> None:
    shutil.copyfile(root / "prefect.yaml", project / "prefect.yaml")
    params = project / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("data/digits", f"'{path}'"), encoding="utf-8")
    up._show(project, 4200, 5000)
    notes = [line for line in capsys.readouterr().out.split("\n") if line.startswith("Note: ")]
    assert len(notes) == n_notes
    for words in (
        "nightly trains data/digits",
        f"not {path} as data.path in params.yaml",
        "edit data_path in prefect.yaml",
    ):
        assert all(words in note for note in notes)


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
