"""The real pipeline under `rootstock up`: on a schedule, by hand, killed and taken up again, one at a time."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters import servers

pytestmark = pytest.mark.service

SETTINGS = {"finetune.max_images_seen": 60, "finetune.epochs": 1}
DEPLOYMENT = """
  - name: {name}
    entrypoint: flows/pipeline.py:pipeline
    schedules: {schedules}
    concurrency_limit: {{limit: 1, collision_strategy: CANCEL_NEW}}
    work_pool: {{name: local}}
    parameters:
      data_path: data/tiny
      settings: {settings}
"""


@dataclass(frozen=True)
class Up:
    """A project with its servers up."""

    project: Any
    api: str

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str = "GET") -> Any:
        request = urllib.request.Request(  # noqa: S310  our own address
            f"{self.api}{path}", headers={"Content-Type": "application/json"}, method=method
        )
        if body is not None:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        of_it = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.ask("/flow_runs/filter", of_it, "POST")
        return found

    def state(self, run: dict[str, Any]) -> str:
        return str(self.ask(f"/flow_runs/{run['id']}")["state_type"])

    def prefect(self, *arguments: str) -> None:
        process = self.project.start(*arguments, module="prefect", PREFECT_API_URL=self.api)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err

    def run_by_hand(self, **settings: Any) -> dict[str, Any]:
        """Trigger the deployment without a schedule and return its newest flow run."""
        given = json.dumps({**SETTINGS, **settings})
        self.prefect("deployment", "run", "pipeline/by-hand", "-p", "data_path=data/tiny", "-p", f"settings={given}")
        return self.runs("by-hand")[-1]

    def stage_process(self, stage: str) -> int | None:
        """Return the process id of a stage that is at work."""
        holder: Path = self.project.folder / ".rootstock" / "stage.pid"
        try:
            pid = int(holder.read_text(encoding="ascii"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        except (OSError, ValueError):
            return None
        return pid if f"flows.{stage}" in words else None


def until(condition: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    return condition()


@pytest.fixture(scope="module")
def up(small: Any) -> Iterator[Up]:
    text = (small.folder / "prefect.yaml").read_text(encoding="utf-8")
    for name, schedules in (("minutely", '[{cron: "* * * * *"}]'), ("by-hand", "[]")):
        text += DEPLOYMENT.format(name=name, schedules=schedules, settings=json.dumps(SETTINGS))
    (small.folder / "prefect.yaml").write_text(text, encoding="utf-8")
    ports = servers.find_free_port(), servers.find_free_port()
    process = small.start("up", "--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1]))
    assert process.stdout is not None
    try:
        assert any(line.startswith("Ctrl-C") for line in process.stdout), process.communicate()
        yield Up(small, f"http://127.0.0.1:{ports[0]}/api")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def scheduled(up: Up) -> Up:
    """Wait for the first run that the schedule made, then pause the schedule."""
    done = until(lambda: [run for run in up.runs("minutely") if run["state_type"] == "COMPLETED"], 600)
    assert done, [run["state_name"] for run in up.runs("minutely")]
    assert done[0]["auto_scheduled"]
    up.ask(f"/deployments/{done[0]['deployment_id']}", {"paused": True}, "PATCH")
    until(lambda: not (up.project.folder / ".rootstock" / "run.pid").exists(), 120)
    return up


def model_time(up: Up) -> int:
    return int((up.project.folder / "artifacts/finetune/model/model.safetensors").stat().st_mtime_ns)


def test_schedule_runs_the_pipeline_and_it_succeeds(scheduled: Up) -> None:
    assert (scheduled.project.folder / "artifacts/register/registration.json").is_file()
    states = {run["state_type"] for run in scheduled.runs("minutely")}
    assert states <= {"COMPLETED", "CANCELLED", "SCHEDULED"}
    assert "up to date" in scheduled.project.dvc("status")


def test_killed_run_is_crashed_and_a_retry_goes_on_where_it_stopped(scheduled: Up) -> None:
    trained = model_time(scheduled)
    run = scheduled.run_by_hand(**{"evaluate.confidence": 0.9})
    assert until(lambda: scheduled.stage_process("evaluate"), 120)
    flow_process = int((scheduled.project.folder / ".rootstock" / "run.pid").read_text(encoding="ascii"))
    os.kill(flow_process, signal.SIGKILL)
    assert until(lambda: scheduled.state(run) == "CRASHED", 60)
    assert scheduled.stage_process("evaluate") is None

    def taken_up() -> bool:
        state = scheduled.state(run)
        if state == "CRASHED":  # at first, and again when the worker's own report of the crash comes after the retry
            scheduled.prefect("flow-run", "retry", run["id"])
        return state == "COMPLETED"

    assert until(taken_up, 240), scheduled.ask(f"/flow_runs/{run['id']}")["state"]
    assert model_time(scheduled) == trained
    assert "up to date" in scheduled.project.dvc("status")


def test_scheduled_run_that_finds_another_at_work_ends_cancelled(scheduled: Up) -> None:
    process: subprocess.Popen[str] = scheduled.project.start("run", "evaluate.confidence=0.85")
    pid = until(lambda: scheduled.stage_process("evaluate") or process.poll() is not None, 120)
    assert process.poll() is None, process.communicate()
    os.kill(pid, signal.SIGSTOP)
    try:
        run = scheduled.run_by_hand()
        assert until(lambda: scheduled.state(run) == "CANCELLED", 120), scheduled.state(run)
    finally:
        os.kill(pid, signal.SIGCONT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


def test_refused_settings_end_failed_with_the_sentence(scheduled: Up) -> None:
    before = scheduled.project.state()
    run = scheduled.run_by_hand(**{"finetune.epoch": 3})
    assert until(lambda: scheduled.state(run) == "FAILED", 120), scheduled.state(run)
    assert "there is no parameter 'finetune.epoch'" in scheduled.ask(f"/flow_runs/{run['id']}")["state"]["message"]
    assert scheduled.project.state() == before
