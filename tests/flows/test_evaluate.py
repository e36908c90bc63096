"""The flow `evaluate`: its files, and the figures of the run in MLflow."""

import json
from pathlib import Path

import pytest

from adapters.json_files import read_json
from adapters.mlflow_store import open_client
from tasks import evaluate as steps
from tasks.handoffs import LOOKS, SEEN, VERDICT


def test_the_flow_writes_its_files(in_staged: Path) -> None:
    assert sorted(path.name for path in VERDICT.parent.iterdir()) == [
        "calibration.json",
        "champion.json",
        "comparison.png",
        "confusion.png",
        "gains.png",
        "looks.json",
        "metrics.json",
        "per_class.csv",
        "predictions.csv",
        "reliability.png",
        "risk_coverage.png",
        "seen_rows.txt",
        "slices.json",
        "slices.png",
        "verdict.json",
    ]


def test_mlflow_has_the_figures_and_the_verdict(in_staged: Path) -> None:
    client = open_client()
    experiment = client.get_experiment_by_name("digits")
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'evaluate'")
    metrics = json.loads(steps.METRICS.read_text(encoding="utf-8"))
    figures = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    looks = json.loads(LOOKS.read_text(encoding="utf-8"))
    bounds = {f"accuracy_after_looks_{bound}": looks["accuracy"][bound] for bound in ("low", "high")}
    assert run.data.metrics == pytest.approx({**figures, **bounds, "n_models_tested": 1})
    assert run.data.tags["verdict"] == read_json(VERDICT)["sentence"]
    listed = {Path(entry.path).name for entry in client.list_artifacts(run.info.run_id, "evaluate")}
    assert run.data.tags["verdict.word"] == read_json(VERDICT)["verdict"]
    # Which images a version has learned from is a list as long as the data set; it lies beside the version itself.
    assert listed == {path.name for path in VERDICT.parent.iterdir()} - {SEEN.name}


def test_no_record_holds_a_time_or_a_run(in_staged: Path) -> None:
    records = [path for path in Path("artifacts").rglob("*.json") if path.name != "observed.json"]
    assert len(records) >= 10
    marks = ("run_id", "seconds", "started", "timestamp", "elapsed")
    guilty = [(str(path), mark) for path in records for mark in marks if mark in path.read_text(encoding="utf-8")]
    assert guilty == []
