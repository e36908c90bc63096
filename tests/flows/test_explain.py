"""The flow `explain`: its files, and the figures of the run in MLflow."""

from pathlib import Path

import pytest

from adapters.json_files import read_json
from adapters.mlflow_store import open_client
from tasks import explain as steps
from tasks.handoffs import EXPLANATIONS


def test_the_flow_writes_its_files(in_staged: Path) -> None:
    found = read_json(EXPLANATIONS)
    names = {path.name for path in EXPLANATIONS.parent.iterdir()}
    assert names == {"explanations.json", "explanations.png", "pictures"}
    named = {one["picture"] for part in ("confident_errors", "examples") for one in found[part]}
    named |= {
        near["picture"] for part in ("confident_errors", "examples") for one in found[part] for near in one["nearest"]
    }
    named |= {picture for pair in found["confused_pairs"] for picture in pair["pictures"]}
    assert named == {f"pictures/{path.name}" for path in steps.PICTURES.iterdir()}


def test_mlflow_has_the_checks(in_staged: Path) -> None:
    client = open_client()
    experiment = client.get_experiment_by_name("digits")
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'explain'")
    (first, second) = read_json(EXPLANATIONS)["maps"]
    assert [first["method"], second["method"]] == ["grad-cam", "occlusion"]
    assert run.data.metrics["grad_cam_similarity"] == pytest.approx(first["sanity"]["similarity"])
    assert run.data.metrics["occlusion_passed"] == second["sanity"]["passed"]
    assert run.data.tags["check.grad-cam"] == first["sanity"]["sentence"]
    listed = {Path(entry.path).name for entry in client.list_artifacts(run.info.run_id, "explain")}
    assert listed == {"explanations.json", "explanations.png"}
