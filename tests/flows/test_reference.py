"""The flow `reference` on its plain path, without a server: two models, their history, and an MLflow run with the note."""

from pathlib import Path

from adapters.mlflow_store import open_client
from flows.reference import reference
from tasks import finetune


def test_the_flow_writes_both_models_and_records_its_run(ranked_project: Path) -> None:
    finetune.train()
    reference.fn()
    for name in ("scratch", "random_frozen"):
        assert (Path("artifacts/reference") / name / "model.safetensors").is_file()
    client = open_client()
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()], "tags.stage = 'reference'")
    assert run.data.params["note"] == "equal images seen, not converged"
    assert {"scratch_val_nll", "random_frozen_val_nll"} <= set(run.data.metrics)
