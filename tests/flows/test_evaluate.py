"""The flow `evaluate` on its plain path, without a server: every file that others rely on, and an MLflow run."""

from pathlib import Path

from adapters.json_files import read_plain_json
from adapters.mlflow_store import open_client
from flows.evaluate import evaluate
from tasks import finetune, reference


def test_the_flow_writes_its_files_and_records_its_run(ranked_project: Path) -> None:
    finetune.train()
    reference.train_from_scratch()
    reference.probe_random_features()
    evaluate.fn()
    assert {path.name for path in Path("artifacts/evaluate").iterdir()} == {
        "metrics.json",
        "per_class.csv",
        "predictions.csv",
        "confusion.png",
        "comparison.png",
        "verdict.json",
    }
    client = open_client()
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()], "tags.stage = 'evaluate'")
    metrics = read_plain_json(Path("artifacts/evaluate/metrics.json"))
    assert run.data.metrics["accuracy"] == metrics["accuracy"]
    assert "equal images seen, not converged" in run.data.tags["verdict"]
