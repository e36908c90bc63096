"""A cron deployment gets its runs; with SQLAlchemy 2.1 under Prefect 3.8.8 it gets none, and nothing else shows it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

START_S = 120.0
SCHEDULED_S = 90.0


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    """Start a Prefect server of its own, scheduler included, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "prefect")}
    command = [
        str(Path(sys.executable).parent / "prefect"),
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait_until_healthy(url, server)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.mark.service
def test_a_cron_deployment_gets_scheduled_runs(api: str) -> None:
    with httpx.Client(base_url=api, timeout=30, trust_env=False) as client:
        flow = _post(client, "/flows/", {"name": "ticking"})
        schedule = {"active": True, "schedule": {"cron": "* * * * *", "timezone": "UTC"}}
        wanted = {"name": "every-minute", "flow_id": flow["id"], "schedules": [schedule]}
        deployment = _post(client, "/deployments/", wanted)
        asked = {"deployments": {"id": {"any_": [deployment["id"]]}}}
        deadline = time.monotonic() + SCHEDULED_S
        runs: list[dict[str, object]] = []
        while not runs and time.monotonic() < deadline:
            time.sleep(1)
            runs = _post(client, "/flow_runs/filter", asked)
    assert {run["state_type"] for run in runs} == {"SCHEDULED"}


def _post(client: httpx.Client, path: str, content: dict[str, Any]) -> Any:
    """Post, and again while the server says 503, as Prefect's own client does: its database is busy as it starts."""
    deadline = time.monotonic() + START_S
    while (answer := client.post(path, json=content)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return answer.raise_for_status().json()


def _wait_until_healthy(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"the Prefect server did not become healthy within {START_S:.0f} s (exit code {server.poll()})")
