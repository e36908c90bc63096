"""Talk to Prefect by its command line and its HTTP API, without importing it."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from adapters import params_file
from adapters.answering import OPENER
from transfer.errors import EnvironmentFault, UserError

_TIMEOUT_S = 120


def deploy(project: Path, api: str) -> None:
    """Deploy what prefect.yaml says; its work pool exists once a worker asked for it.

    Args:
        project: the project's root; the deployment's runs start there.
        api: URL of the Prefect API.

    Raises:
        EnvironmentFault: Prefect refused; its last words are quoted.
    """
    settings = {"PREFECT_API_URL": api, "ROOTSTOCK_PROJECT": str(project)}
    _prefect(project, settings, "--no-prompt", "deploy", "--all")


def deployed_data_paths(project: Path) -> dict[str, str]:
    """Return the data set that each deployment of prefect.yaml names; deployments that name none are left out."""
    try:
        deployments = params_file.read(project / "prefect.yaml").get("deployments") or ()
    except UserError:  # `deploy` says what is wrong with it
        return {}
    named = {str(one.get("name")): (one.get("parameters") or {}).get("data_path") for one in deployments}
    return {name: path for name, path in named.items() if isinstance(path, str)}


def has_online_worker(api: str, pool: str) -> bool:
    """Tell whether a worker of the work pool has reported to the API lately."""
    try:
        workers = _ask(f"{api}/work_pools/{pool}/workers/filter", {})
    except (OSError, ValueError):
        return False
    return any(worker.get("status") == "ONLINE" for worker in workers)


def bury_ghosts(api: str, why: str) -> int:
    """Mark every unfinished flow run Crashed and free the places it held; return how many there were.

    Only for a moment when nothing runs, and for an API that serves this project alone (`prefect_api.is_its_own`): a
    ghost keeps the deployment's one place, and later runs end Cancelled.

    Args:
        api: URL of the Prefect API.
        why: message of the new state.

    Raises:
        EnvironmentFault: the API does not do as asked.
    """
    unfinished = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
    crashed = {"state": {"type": "CRASHED", "name": "Crashed", "message": why}, "force": True}
    try:
        ghosts = _ask(f"{api}/flow_runs/filter", unfinished)
        for ghost in ghosts:
            _ask(f"{api}/flow_runs/{ghost['id']}/set_state", crashed)
        for limit in _ask(f"{api}/v2/concurrency_limits/filter", {}):
            if limit["active_slots"] and limit["name"].startswith("deployment:"):
                _ask(f"{api}/v2/concurrency_limits/{limit['id']}", {"active_slots": 0}, method="PATCH")
    except (OSError, ValueError) as error:
        raise EnvironmentFault(
            f"The Prefect server could not clear runs that were killed ({error}); start it again."
        ) from error
    return len(ghosts)


def resume(api: str, flow_run: str, run_input: dict[str, Any]) -> bool:
    """Resume a flow run that was suspended; say whether it goes on: one that waits for nothing does not.

    Args:
        api: URL of the Prefect API.
        flow_run: its id.
        run_input: what it asked for.
    """
    try:
        answer = _ask(f"{api}/flow_runs/{flow_run}/resume", {"run_input": run_input})
    except (OSError, ValueError):  # the server is gone, or knows no such run
        return False
    return bool(answer["status"] == "ACCEPT")


def _ask(url: str, body: dict[str, Any], method: str = "POST") -> Any:
    request = urllib.request.Request(  # noqa: S310  our own address
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method=method
    )
    with OPENER.open(request, timeout=10.0) as answer:
        return json.loads(answer.read() or b"null")


def _prefect(project: Path, settings: dict[str, str], *arguments: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=project,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFault(
            f"`prefect {' '.join(arguments)}` gave no answer within {_TIMEOUT_S} s; try again."
        ) from error
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise EnvironmentFault(f"`prefect {' '.join(arguments)}` failed; mend what it says: {' | '.join(lines[-3:])}")
