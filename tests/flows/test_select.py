"""The flow `select`: what it leaves, what MLflow knows of it, and its run on a Prefect API."""

from pathlib import Path

from adapters.json_files import read_json, sha256_of
from adapters.manifest_file import MANIFEST, QUARANTINE
from adapters.mlflow_store import open_client
from tasks.select import PICTURE, RANKING


def test_the_flow_ranks_every_candidate(in_staged: Path) -> None:
    ranking = read_json(RANKING, made_from={"manifest": MANIFEST, "quarantine": QUARANTINE})
    references = [row["reference"] for row in ranking["candidates"]]
    assert sorted(references) == ["rootstock/strokes", "rootstock/strokes@none"]
    assert ranking["winner"] == references[0]
    assert PICTURE.read_bytes().startswith(b"\x89PNG")


def test_mlflow_has_a_run_of_it(in_staged: Path) -> None:
    client = open_client()
    experiment = client.get_experiment_by_name("digits")
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'select'")
    ranking = read_json(RANKING)
    assert run.info.status == "FINISHED"
    assert run.data.params["winner"] == ranking["winner"]
    assert run.data.metrics["expected_accuracy"] == ranking["candidates"][0]["accuracy"]["value"]
    assert {f"candidate_2.{name}" for name in ("logme", "probability_best")} <= set(run.data.metrics)


def test_a_run_on_the_api_is_completed_and_has_its_tasks(in_staged: Path, prefect_server: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId

    from flows.select import select

    before = sha256_of(RANKING)
    state = select(return_state=True)
    assert state.is_completed()
    flow_run = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(flow_run).state.is_completed()
        own = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run]))
        tasks = _settled(client, own)
    names = sorted(task.name.rsplit("-", 1)[0] for task in tasks)
    assert names == ["draw", "gather", "rank_candidates", "record", "score", "score", "try_level"]
    assert sha256_of(RANKING) == before


def _settled(client, own):
    """Return the task runs once all have arrived: the API receives them as events, a moment later."""
    import time

    deadline = time.monotonic() + 20
    tasks = client.read_task_runs(task_run_filter=own)
    while time.monotonic() < deadline and not (len(tasks) == 7 and all(task.state.is_completed() for task in tasks)):
        time.sleep(0.1)
        tasks = client.read_task_runs(task_run_filter=own)
    assert all(task.state.is_completed() for task in tasks)
    return tasks
