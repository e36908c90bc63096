"""Flow runs on a Prefect API: a stage as the child of the pipeline's task, ghosts of killed runs marked Crashed."""

from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow


def run_as_child(stage_flow: Flow[[], None], parent_task_run: str | None) -> None:
    """Run a flow on the API, linked to the task run that started this process.

    Args:
        stage_flow: the flow to run.
        parent_task_run: id of the pipeline's task run; None for a run of its own.
    """
    if parent_task_run is None:
        stage_flow()
        return
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(stage_flow, parent_task_run_id=UUID(parent_task_run))
    run_flow(stage_flow, flow_run=flow_run)


def mark_crashed(flow_run: str, why: str) -> None:
    """Give a flow run that a killed process left Running its true state; a finished or unknown run is left alone."""
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        try:
            state: Any = client.read_flow_run(UUID(flow_run)).state
        except ObjectNotFound:
            return
        if state is not None and not state.is_final():
            client.set_flow_run_state(UUID(flow_run), Crashed(message=why), force=True)
