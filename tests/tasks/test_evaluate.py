"""Evaluation: the test rows, figures that agree with one another, a verdict that claims what the interval allows."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.json_files import read_json, sha256_of
from adapters.manifest_file import read_manifest
from tasks import answers, evaluate, finetune, reference
from tasks.handoffs import METRICS, VERDICT
from transfer.errors import UserError
from transfer.metrics.intervals import wilson_interval


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _metrics() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(METRICS.read_text(encoding="utf-8"))
    return content


def test_figures_agree_with_the_predictions(trained: Path) -> None:
    evaluate.measure()
    metrics, predictions, rows = _metrics(), _table(evaluate.PREDICTIONS), read_manifest().of_split("test")
    right = sum(row["actual"] == row["predicted"] for row in predictions)
    interval = wilson_interval(right, len(rows), 0.95)
    assert [row["path"] for row in predictions] == [row.path for row in rows]
    assert metrics["n_test"] == len(rows) == len(predictions)
    assert metrics["n_classes"] == 3
    found = [metrics[f"accuracy{suffix}"] for suffix in ("", "_low", "_high")]
    assert found == pytest.approx([interval.value, interval.low, interval.high], abs=1e-6)
    for name in ("scratch", "random_frozen"):
        assert metrics[f"{name}_gain"] == pytest.approx(metrics["accuracy"] - metrics[f"{name}_accuracy"], abs=2e-6)
        assert 0 <= metrics[f"{name}_mcnemar_p"] <= 1
    assert metrics["references"] == "equal images seen, not converged"


def test_metrics_are_flat_and_sorted(trained: Path) -> None:
    evaluate.measure()
    metrics = _metrics()
    assert list(metrics) == sorted(metrics)
    assert all(isinstance(value, int | float | str) for value in metrics.values())


def test_classes_sum_to_the_whole(trained: Path) -> None:
    evaluate.measure()
    rows = _table(evaluate.PER_CLASS)
    assert [row["class"] for row in rows] == list(read_manifest().classes)
    assert sum(int(row["support"]) for row in rows) == _metrics()["n_test"]
    assert np.mean([float(row["f1"]) for row in rows]) == pytest.approx(_metrics()["macro_f1"], abs=1e-4)
    for row in rows:
        assert float(row["recall_low"]) <= float(row["recall"]) <= float(row["recall_high"])


def test_the_verdict_claims_what_the_interval_allows(trained: Path) -> None:
    evaluate.measure()
    verdict = read_json(VERDICT, made_from={"transfer": finetune.MODEL / "model.safetensors"})
    against = verdict["comparisons"][verdict["against"]]
    gain, told_apart = against["gain"], against["p_value"] < 0.05
    allowed = True if gain["low"] > 0 else False if gain["high"] < 0 else None
    assert verdict["transfer_helped"] == against["better"] == (allowed if told_apart else None)
    assert verdict["model_sha256"] == sha256_of(finetune.MODEL / "model.safetensors")
    assert "equal images seen, not converged" in verdict["sentence"]
    assert len(verdict["reasons"]) == 2


def test_a_model_that_began_at_random_transferred_nothing(trained: Path) -> None:
    card = finetune.MODEL / "card.json"
    assert '"reference": "rootstock/strokes"' in card.read_text(encoding="utf-8")
    card.write_text(card.read_text(encoding="utf-8").replace("rootstock/strokes", "rootstock/strokes@none"), "utf-8")
    evaluate.measure()
    verdict = read_json(VERDICT)
    assert verdict["transfer_helped"] is None
    assert verdict["sentence"].startswith("The model began with random weights, so nothing was transferred: ")


def test_a_second_evaluation_writes_the_same_bytes(trained: Path) -> None:
    evaluate.measure()
    evaluate.draw()
    paths = sorted(path for path in METRICS.parent.iterdir() if path.name != "observed.json")
    first = [path.read_bytes() for path in paths]
    assert first
    evaluate.measure()
    evaluate.draw()
    assert [path.read_bytes() for path in paths] == first


def test_nothing_is_trained(trained: Path) -> None:
    models = [folder / "model.safetensors" for folder in answers.MODELS.values()]
    before = [path.read_bytes() for path in models]
    evaluate.measure()
    assert [path.read_bytes() for path in models] == before


def test_a_model_of_other_classes_is_refused(trained: Path) -> None:
    card = reference.SCRATCH / "card.json"
    card.write_text(card.read_text(encoding="utf-8").replace('"dots"', '"spots"'), encoding="utf-8")
    with pytest.raises(
        UserError, match="trained on the classes bars, spots, rings, the data set has bars, dots, rings"
    ):
        evaluate.measure()
    assert not METRICS.exists()


def test_a_damaged_model_is_refused(trained: Path) -> None:
    weights = finetune.MODEL / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged"):
        evaluate.measure()
