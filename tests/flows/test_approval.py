"""A person's word on a new champion, with a real server and worker: asked for, over a restart, given, refused, late."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest

from adapters import servers

pytestmark = pytest.mark.service

SETTINGS = {
    "finetune.max_images_seen": 60,
    "finetune.epochs": 1,
    "register.approval": "required",
    "register.margin": 0.49,  # of nine test images: what is not behind is asked about
    "register.confidence": 0.8,  # which each further challenger on the same images raises
}
DEPLOYMENT = """
  - name: by-hand
    entrypoint: flows/pipeline.py:pipeline
    concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW}
    work_pool: {name: local}
"""


@dataclass
class Up:
    """A project whose servers can be stopped and started again."""

    project: Any
    ports: tuple[int, int]
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        prefect, mlflow = map(str, self.ports)
        self.process = self.project.start("up", "--prefect-port", prefect, "--mlflow-port", mlflow)
        assert self.process is not None
        assert self.process.stdout is not None
        assert any(line.startswith("Ctrl-C") for line in self.process.stdout), self.process.communicate()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=60)
        self.process = None

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[0]}/api{path}", headers={"Content-Type": "application/json"}
        )
        if body is not None:
            request.data = json.dumps(body).encode()
        for _ in range(20):
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                time.sleep(0.5)  # its database is busy, which Prefect's own client waits for too
        raise TimeoutError(path)

    def run(self, **settings: Any) -> str:
        """Run the deployment until it waits or ends; return the id of the flow run."""
        parameters = {"data_path": "data/tiny", "settings": {**SETTINGS, **settings}}
        (deployment,) = self.ask("/deployments/filter", {"deployments": {"name": {"any_": ["by-hand"]}}})
        run = str(self.ask(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})["id"])
        assert until(lambda: self.state(run) not in ("SCHEDULED", "PENDING", "RUNNING"), 300), self.state(run)
        return run

    def state(self, run: str) -> str:
        return str(self.ask(f"/flow_runs/{run}")["state_type"])

    def answer(self, run: str, **said: Any) -> dict[str, Any]:
        """Resume a run with what the form in Prefect's pages asks for; return the state that it ends in."""
        assert self.ask(f"/flow_runs/{run}/resume", {"run_input": said})["status"] == "ACCEPT"
        assert until(lambda: self.state(run) in ("COMPLETED", "FAILED", "CRASHED"), 120), self.state(run)
        state: dict[str, Any] = self.ask(f"/flow_runs/{run}")["state"]
        return state

    def champion(self) -> str | None:
        query = "select version from registered_model_aliases where alias = 'champion'"
        return next((str(version) for (version,) in self.project.rows("mlruns/mlflow.db", query)), None)

    def said(self, version: int) -> str:
        found = self.project.rows("mlruns/mlflow.db", "select key, version, value from model_version_tags")
        return str({(key, int(number)): value for key, number, value in found}.get(("approval", version), ""))

    def ledger(self) -> list[dict[str, Any]]:
        path = self.project.folder / "mlruns" / "promotions.jsonl"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        return [json.loads(line) for line in text.splitlines()]


def until(condition: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    return condition()


@pytest.fixture(scope="module")
def up(small: Any) -> Iterator[Up]:
    with (small.folder / "prefect.yaml").open("a", encoding="utf-8") as stream:
        stream.write(DEPLOYMENT)
    found = Up(small, (servers.find_free_port(), servers.find_free_port()))
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def approved(up: Up) -> dict[str, Any]:
    """Let the first model wait over a restart of everything, and approve it; return the state its run ended in."""
    run = up.run()
    assert up.state(run) == "PAUSED", up.ask(f"/flow_runs/{run}")["state"]
    assert (up.champion(), up.said(1)[:13]) == (None, "waiting until")
    up.stop()
    up.start()
    assert up.state(run) == "PAUSED"
    return up.answer(run, approve=True, reason="looked at its mistakes", who="Ada")


def test_a_run_waits_over_a_restart_and_the_ledger_says_whose_word_it_was(up: Up, approved: dict[str, Any]) -> None:
    assert approved["type"] == "COMPLETED", approved
    assert "tiny@champion is version 1" in approved["message"]
    assert up.champion() == "1"
    (line,) = up.ledger()
    assert (line["by"], line["who"], line["why"]) == ("promote", "Ada", "looked at its mistakes")
    assert up.said(1) == "approved by Ada: looked at its mistakes"
    assert up.project.rootstock("champions", "--verify").code == 0


def test_a_model_that_is_not_wanted_changes_nothing_and_is_not_asked_about_again(
    up: Up, approved: dict[str, Any]
) -> None:
    other = {"finetune.head": "logistic"}
    run = up.run(**other)
    assert up.state(run) == "PAUSED", up.ask(f"/flow_runs/{run}")["state"]
    state = up.answer(run, approve=False, reason="no better", who="Ada")
    assert (state["type"], state["name"]) == ("COMPLETED", "Rejected")
    assert (up.champion(), len(up.ledger()), up.said(2)) == ("1", 1, "rejected by Ada: no better")
    assert up.state(up.run(**other)) == "COMPLETED"


def test_the_word_on_an_older_model_comes_too_late_and_the_command_line_does_the_same(
    up: Up, approved: dict[str, Any]
) -> None:
    other = {"finetune.head": "svm"}
    older, newer = up.run(**other), up.run(**other, **{"finetune.seed": 1})  # whose folds are others
    assert [up.state(run) for run in (older, newer)] == ["PAUSED", "PAUSED"]
    state = up.answer(older, approve=True, reason="late", who="Ada")
    assert state["type"] == "FAILED"
    assert "was registered since" in state["message"]
    assert up.champion() == "1"
    before = up.champion()
    done = up.project.rootstock("promote", "tiny@challenger", "--why", "as good")
    assert done.code == 0, done.err
    assert "The run that waited for this goes on" in done.out
    assert until(lambda: up.state(newer) == "COMPLETED", 120), up.ask(f"/flow_runs/{newer}")["state"]
    assert up.champion() not in (before, None)
    back = up.project.rootstock("rollback", "tiny", "--why", "wrong after all")
    assert back.code == 0, back.err
    assert up.champion() == before
    assert [line["by"] for line in up.ledger()] == ["promote", "promote", "rollback"]
