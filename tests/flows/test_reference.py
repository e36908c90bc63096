"""The flow `reference`: two models without pretrained weights, and a run that says what they are worth."""

from pathlib import Path

from adapters.json_files import read_json
from adapters.mlflow_store import open_client
from tasks import reference as steps


def test_the_flow_writes_both_models_and_one_history(in_staged: Path) -> None:
    for folder in (steps.SCRATCH, steps.RANDOM_FROZEN):
        assert (folder / "model.safetensors").is_file()
        assert (folder / "card.json").is_file()
    history = read_json(steps.HISTORY)
    assert [outcome["name"] for outcome in history["steps"]] == ["scratch", "random_frozen", "random_frozen_refit"]


def test_mlflow_carries_the_note(in_staged: Path) -> None:
    client = open_client()
    experiment = client.get_experiment_by_name("digits")
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'reference'")
    assert run.data.params["note"] == read_json(steps.HISTORY)["note"]
    assert run.data.params["note"] == "equal images seen, not converged"
    assert {"scratch_val_nll", "random_frozen_val_nll"} <= set(run.data.metrics)
    assert int(run.data.params["images_seen"]) == steps.images_seen()
