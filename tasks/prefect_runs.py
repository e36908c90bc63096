"""Flow runs on a Prefect API: stages as children of tasks, ghosts marked Crashed, what waits withdrawn."""

import contextlib
import time
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow

_LOGS_TIMEOUT_S = 5
_RECORDED_S, _POLL_S = 20.0, 0.1


def run_as_child(stage_flow: Flow[[], None], parent_task_run: str | None) -> None:
    """Run a flow on the API, linked to the task run that started this process.

    Prefect records task runs from a stream of events, some time after they began: one that a busy server has not
    recorded within 20 s gets no child, and the flow a run of its own.

    Args:
        stage_flow: the flow to run.
        parent_task_run: id of the pipeline's task run; None for a run of its own.
    """
    with get_client(sync_client=True) as client:
        parent = UUID(parent_task_run) if parent_task_run is not None else None
        is_child = parent is not None and _is_recorded(client, parent)
        flow_run = client.create_flow_run(stage_flow, parent_task_run_id=parent) if is_child else None
    try:
        run_flow(stage_flow, flow_run=flow_run)
    except BaseException:
        if flow_run is not None:  # Ctrl-C before the engine took it up leaves it Pending
            with contextlib.suppress(Exception):
                mark_crashed(str(flow_run.id), "The stage was interrupted before its first step.")
        raise


def _is_recorded(client: SyncPrefectClient, task_run: UUID) -> bool:
    deadline = time.monotonic() + _RECORDED_S
    while time.monotonic() < deadline:
        try:
            client.read_task_run(task_run)
        except ObjectNotFound:
            time.sleep(_POLL_S)
        else:
            return True
    return False


def mark_crashed(flow_run: str, why: str) -> None:
    """Give a flow run that a killed process left Running, and the stage it was in, their true state.

    Finished and unknown runs are left alone.

    Args:
        flow_run: id of the pipeline's flow run.
        why: message of the new state.
    """
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        for killed in _unfinished(client, UUID(flow_run)):
            client.set_flow_run_state(killed, Crashed(message=why), force=True)


def is_unfinished(flow_run: str) -> bool:
    """Say whether a flow run is known and has not ended.

    Args:
        flow_run: its id.
    """
    with get_client(sync_client=True) as client:
        return UUID(flow_run) in _unfinished(client, UUID(flow_run))


def withdraw(flow_run: str, why: str) -> None:
    """Cancel a flow run that is suspended, so that nobody resumes it; finished and unknown runs are left alone.

    Args:
        flow_run: its id.
        why: message of the new state.
    """
    from prefect.states import Cancelled

    with get_client(sync_client=True) as client:
        for run in _unfinished(client, UUID(flow_run)):
            client.set_flow_run_state(run, Cancelled(message=why), force=True)


def _unfinished(client: SyncPrefectClient, flow_run: UUID) -> list[UUID]:
    """Return the runs below a flow run, and the flow run itself, that have not ended; the deepest first."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        FlowRunFilterParentFlowRunId,
    )

    below = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run]))
    itself = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    found = [run for wanted in (below, itself) for run in client.read_flow_runs(flow_run_filter=wanted)]
    return [run.id for run in found if run.state is not None and not run.state.is_final()]


def send_logs() -> None:
    """Send the log lines that wait for the API, before it goes away."""
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=_LOGS_TIMEOUT_S)
