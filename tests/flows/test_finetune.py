"""The flow `finetune`: its outputs, and a point an epoch in MLflow."""

import csv
import json
from pathlib import Path

from adapters.json_files import read_json, sha256_of
from adapters.mlflow_store import open_client
from tasks import finetune as steps
from tasks.history import over_all_images, read_history


def test_the_flow_writes_model_history_and_curve(in_staged: Path) -> None:
    card = json.loads((steps.MODEL / "card.json").read_text(encoding="utf-8"))
    assert card["sha256"] == sha256_of(steps.MODEL / "model.safetensors")
    assert card["classes"] == ["ant", "bee", "cat"]
    assert steps.LEARNING_CURVE.read_bytes().startswith(b"\x89PNG")


def test_the_points_for_dvc_are_the_epochs_of_the_history(in_staged: Path) -> None:
    epochs, _ = read_history(steps.HISTORY)
    with steps.CURVE.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["val_nll"]) for row in rows] == [epoch.val_nll for epoch in epochs]
    seen = [int(row["images_seen"]) for row in rows]
    assert seen == sorted(seen)


def test_mlflow_has_a_point_an_epoch(in_staged: Path) -> None:
    client = open_client()
    experiment = client.get_experiment_by_name("digits")
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'finetune'")
    epochs, _ = read_history(steps.HISTORY)
    points = client.get_metric_history(run.info.run_id, "val_nll")
    placed = [(place, epoch.val_nll) for place, epoch in over_all_images(epochs)]
    assert [(point.step, point.value) for point in points] == placed
    assert run.data.params["backbone"] == read_json(steps.RANKING)["winner"]
    assert run.info.status == "FINISHED"
