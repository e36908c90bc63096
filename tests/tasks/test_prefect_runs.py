"""A stage's flow is the child of the task that started it, as soon as the server knows that task."""

from uuid import uuid4

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.context import TaskRunContext

from tasks import prefect_runs


@flow
def stage() -> None:
    """Stand for a stage."""


@task
def start_the_stage() -> str:
    context = TaskRunContext.get()
    assert context is not None
    prefect_runs.run_as_child(stage, str(context.task_run.id))
    return str(context.task_run.id)


@flow
def pipeline() -> str:
    return start_the_stage()


def _parents() -> list[str]:
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
    return [str(run.parent_task_run_id) for run in runs if run.name and run.parent_task_run_id]


@pytest.mark.usefixtures("prefect_server")
def test_stage_becomes_the_child_of_a_task_that_has_only_just_begun() -> None:
    assert pipeline() in _parents()


@pytest.mark.usefixtures("prefect_server")
def test_stage_of_a_task_that_is_never_recorded_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_runs, "_RECORDED_S", 0.3)
    unknown = str(uuid4())
    prefect_runs.run_as_child(stage, unknown)
    assert unknown not in _parents()
