"""Set the environment that every process of a project shares: state inside the project, telemetry off."""

import math
import os
from pathlib import Path

from transfer.errors import UserError

PARENT_RUN = "ROOTSTOCK_PARENT_RUN"  # MLflow run id of the pipeline run
PARENT_TASK_RUN = "ROOTSTOCK_PARENT_TASK_RUN"  # Prefect task run that started the stage
LOCK_HOLDER = "ROOTSTOCK_LOCK_HOLDER"  # process id of the pipeline that holds the project's lock
PROGRESS_FILE = "ROOTSTOCK_PROGRESS"  # where a stage writes its progress for the pipeline to draw
STAGE = "ROOTSTOCK_STAGE"  # the word of the stage that this process runs
STAGE_STARTED_MS = "ROOTSTOCK_STAGE_STARTED_MS"  # when the stage's process began, milliseconds since the epoch
CACHE_GB = "ROOTSTOCK_CACHE_GB"  # how much of the disk computed rows may take
MEMORY = "ROOTSTOCK_MEMORY"  # the file in which finished runs are remembered, relative to the project
RANK_PLACE = "ROOTSTOCK_RANK"  # of a process that shares another's work: its number, how many there are, where to meet
DEBUG = "ROOTSTOCK_DEBUG"

DEFAULT_CACHE_GB = 10.0

_TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",  # mlflow ignores "1"
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # its pages ask a vendor how to send, though they do not send
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "true",
    "GX_ANALYTICS_ENABLED": "false",
}
# OpenMP threads that spin for long slow training manifold on busy cores; a short spin saves idle ones most wake-ups.
_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
_LOOPBACK = ("127.0.0.1", "localhost")
_QUIET = {
    "PYTHONUNBUFFERED": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "TQDM_DISABLE": "1",
}


def prepare(project: Path) -> None:
    """Switch telemetry off and keep Prefect's state in the project, without overruling what the user exported.

    The project's own servers are never asked through a proxy that the user has for the rest of the world.
    """
    for name, value in (_TELEMETRY_OFF | _PATIENT | _QUIET | {"PREFECT_HOME": str(project / ".prefect")}).items():
        os.environ.setdefault(name, value)
    direct = [host for host in (get("no_proxy") or get("NO_PROXY") or "").split(",") if host]
    direct += [host for host in _LOOPBACK if host not in direct]
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(direct)


def quieten_prefect() -> None:
    """Keep Prefect's own log lines off the console; its API still gets them, and a debugging user sees them."""
    if get(DEBUG) is None:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def get(name: str) -> str | None:
    """Return a variable of the environment; None when it is unset or empty."""
    return os.environ.get(name) or None


def cache_gb() -> float:
    """Return how many gigabytes of the disk what can be computed again may take; at 0 nothing is kept.

    Raises:
        UserError: the variable is no number from 0 on.
    """
    text = get(CACHE_GB) or str(DEFAULT_CACHE_GB)
    try:
        cap_gb = float(text)
    except ValueError:
        cap_gb = math.nan
    if not 0.0 <= cap_gb < math.inf:
        raise UserError(
            f"{CACHE_GB} is {text!r}; set it to the gigabytes that computed rows may take on the disk "
            "(0 keeps none), or unset it."
        )
    return cap_gb


def follows() -> bool:
    """Say whether this process was started, by us or by torchrun, to share the work of another one that reports it."""
    of_torchrun = get("RANK") if get("WORLD_SIZE") else None  # by itself it is a name that other programs use too
    return not (get(RANK_PLACE) or of_torchrun or "0").startswith("0")


def put(name: str, value: str) -> None:
    """Set a variable for this process and the ones it starts."""
    os.environ[name] = value


def drop(name: str) -> None:
    """Remove a variable for this process and the ones it starts."""
    os.environ.pop(name, None)
