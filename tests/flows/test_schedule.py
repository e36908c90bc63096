"""Schedules with a real server and worker: runs come, succeed, are marked when killed, and are taken up again."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters import prefect_commands, servers
from tasks import up

FLOW = """
import os, time
from pathlib import Path
from prefect import flow, task

@task(persist_result=True, result_serializer="json")
def first(who: str) -> int:
    with Path(f"first-{who}.txt").open("a") as stream:
        stream.write("x")
    return 1

@flow(name="pipeline", persist_result=True)
def pipeline(who: str = "cron") -> None:
    first(who)
    Path(f"pid-{who}.txt").write_text(str(os.getpid()))
    while who != "cron" and not Path(f"go-{who}").exists():
        time.sleep(0.1)
"""
DEPLOYMENTS = """
name: rootstock
pull:
  - prefect.deployments.steps.set_working_directory:
      directory: "{{ $ROOTSTOCK_PROJECT }}"
deployments:
  - name: minutely
    entrypoint: flows/pipeline.py:pipeline
    schedules:
      - cron: "* * * * *"
    concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW}
    work_pool: {name: local}
  - name: by-hand
    entrypoint: flows/pipeline.py:pipeline
    work_pool: {name: local}
"""


@dataclass(frozen=True)
class Running:
    """A project whose deployments a worker serves."""

    folder: Path
    api: str

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310  our own address
            f"{self.api}{path}", headers={"Content-Type": "application/json"}
        )
        if body is not None:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        of_it = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.ask("/flow_runs/filter", of_it)
        return found

    def prefect(self, *arguments: str) -> None:
        environment = {**os.environ, "PREFECT_API_URL": self.api}
        subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=self.folder,
            env=environment,
            check=True,
            capture_output=True,
        )


def until(condition: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.5)
    return condition()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("scheduled")
    (folder / "flows").mkdir()
    (folder / "flows" / "pipeline.py").write_text(FLOW, encoding="utf-8")
    (folder / "prefect.yaml").write_text(DEPLOYMENTS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(folder / ".prefect"))
        patch.delenv("PREFECT_API_URL", raising=False)
        server = servers.start_prefect_server(folder, servers.find_free_port())
        started = [server]
        try:
            servers.wait_until(server, "/api/health")
            api = f"{server.address}/api"
            started.append(servers.start_worker(folder, api, up.POOL))
            up.wait_for_worker(started[1], api)
            prefect_commands.deploy(folder, api)
            yield Running(folder, api)
        finally:
            for each in reversed(started):
                servers.stop(each)


def test_server_application_can_be_imported() -> None:
    """Fails with versions of fastapi that the pinned Prefect cannot run on."""
    import prefect.server.api.server

    assert prefect.server.api.server.create_app is not None


@pytest.mark.service
def test_cron_deployment_gets_runs_and_they_succeed(running: Running) -> None:
    """Fails with versions of SQLAlchemy on which the pinned Prefect schedules nothing."""
    assert until(lambda: running.runs("minutely"), 90)
    done = until(lambda: [run for run in running.runs("minutely") if run["state_type"] == "COMPLETED"], 150)
    assert done, [run["state_name"] for run in running.runs("minutely")]
    assert done[0]["auto_scheduled"]


@pytest.mark.service
def test_killed_run_is_crashed_and_a_retry_takes_it_up(running: Running) -> None:
    pid_file = running.folder / "pid-hand.txt"
    running.prefect("deployment", "run", "pipeline/by-hand", "-p", "who=hand")
    pid = until(lambda: pid_file.is_file() and pid_file.read_text(encoding="utf-8"), 60)
    os.kill(int(pid), signal.SIGKILL)
    (run,) = running.runs("by-hand")
    crashed = until(lambda: running.ask(f"/flow_runs/{run['id']}")["state_type"] == "CRASHED", 30)
    assert crashed, running.ask(f"/flow_runs/{run['id']}")["state_name"]
    (running.folder / "go-hand").touch()

    def taken_up() -> bool:
        state = running.ask(f"/flow_runs/{run['id']}")["state_type"]
        if state == "CRASHED":  # at first, and again when the worker's own report of the crash comes after the retry
            running.prefect("flow-run", "retry", run["id"])
        return bool(state == "COMPLETED")

    completed = until(taken_up, 90)
    assert completed, running.ask(f"/flow_runs/{run['id']}")["state"]
    assert (running.folder / "first-hand.txt").read_text(encoding="utf-8") == "x"


@pytest.mark.service
def test_runs_that_were_killed_with_their_server_do_not_block_later_ones(running: Running) -> None:
    (flow,) = running.ask("/flows/filter", {})
    ghost = running.ask("/flow_runs/", {"flow_id": flow["id"], "state": {"type": "RUNNING", "name": "Running"}})
    prefect_commands.bury_ghosts(running.api, "gone")
    state = running.ask(f"/flow_runs/{ghost['id']}")["state"]
    assert (state["type"], state["message"]) == ("CRASHED", "gone")
