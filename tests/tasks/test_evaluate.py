"""Evaluation: the test rows, figures that agree with one another, a verdict that claims what the interval allows."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from adapters.json_files import read_json, sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.model_files import load_model, save_model
from adapters.sealed_labels import open_labels
from tasks import answers, evaluate, finetune, judging, reference, tested
from tasks.examples import prepared
from tasks.frozen_files import ABOUT
from tasks.handoffs import CALIBRATION, METRICS, PREDICTIONS, SCRATCH, SLICES, VERDICT
from tasks.params import read_params
from transfer.errors import UserError
from transfer.evaluation.comparison import by_class
from transfer.finetuning.measuring import predict_logits
from transfer.metrics.intervals import wilson_interval


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _metrics() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(METRICS.read_text(encoding="utf-8"))
    return content


def test_figures_agree_with_the_predictions(trained: Path) -> None:
    evaluate.measure()
    metrics, predictions, rows = _metrics(), _table(PREDICTIONS), read_manifest().of_split("test")
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
    gain, told_apart = against["gain"], against["p_adjusted"] < 0.05
    allowed = True if gain["low"] > 0 else False if gain["high"] < 0 else None
    assert verdict["transfer_helped"] == against["better"] == (allowed if told_apart else None)
    assert verdict["model_sha256"] == sha256_of(finetune.MODEL / "model.safetensors")
    assert "equal images seen, not converged" in verdict["sentence"]
    assert len(verdict["reasons"]) == 2


def _with_column(name: str, values: list[Any]) -> None:
    """Give the manifest a column of the user's, and validate it anew."""
    table = parquet.read_table(MANIFEST)
    column = pa.array(values)
    metadata = table.schema.metadata
    table = (
        table.set_column(table.column_names.index(name), name, column)
        if name in table.column_names
        else (table.append_column(name, column))
    )
    parquet.write_table(table.replace_schema_metadata(metadata), MANIFEST)
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})


def _reference_again() -> None:
    """Let the hand-offs of training name the manifest that there is now; what they hold is as it was."""
    for path, made_from in ((finetune.RANKING, finetune._RANKED_FROM), (finetune.HISTORY, finetune._MADE_FROM)):
        content = {key: value for key, value in read_json(path).items() if key not in ("version", "made_from")}
        write_json(path, content, made_from)
    content = {key: value for key, value in read_json(ABOUT).items() if key not in ("version", "made_from")}
    write_json(ABOUT, content, reference.MADE_FROM)


def test_what_the_manifest_knows_and_what_the_user_adds_are_slices(trained: Path) -> None:
    n_rows = parquet.read_table(MANIFEST).num_rows
    _with_column("camera", ["left" if place % 2 else "right" for place in range(n_rows)])
    _reference_again()
    evaluate.measure()
    found = read_json(SLICES)["slices"]
    assert {one["column"] for one in found} == {"class", "brightness", "detail", "camera"}  # all are 32 px
    cameras = [one for one in found if one["column"] == "camera"]
    assert [one["part"] for one in cameras] == ["left", "right"]
    assert sum(one["n_rows"] for one in cameras) == _metrics()["n_test"]
    assert all(one["accuracy"] is None for one in found if one["n_rows"] < 20)


@pytest.mark.parametrize("every", [1, 3])
def test_the_accuracy_is_told_without_test_images_that_have_a_copy_in_training(
    trained: Path, every: int, capsys: pytest.CaptureFixture[str]
) -> None:
    table = parquet.read_table(MANIFEST, columns=["path", "split"]).to_pylist()
    learned_from = next(row["path"] for row in table if row["split"] == "train")
    tests = [row["path"] for row in table if row["split"] == "test"]
    leaked = set(tests[::every])
    _with_column("copies", ["x" if row["path"] in {learned_from, *leaked} else row["path"] for row in table])
    _reference_again()
    evaluate.measure()
    metrics, kept = _metrics(), [row for row in _table(PREDICTIONS) if row["path"] not in leaked]
    assert metrics["n_test_with_copy_in_training"] == len(leaked)
    printed = capsys.readouterr().out
    assert f"{len(leaked)} of {len(tests)} test images have a copy among the training images" in printed
    if every == 1:
        assert "accuracy_without_copies" not in metrics
        assert "says nothing about new images" in printed
        return
    interval = wilson_interval(sum(row["actual"] == row["predicted"] for row in kept), len(kept), 0.95)
    found = [metrics[f"accuracy_without_copies{suffix}"] for suffix in ("", "_low", "_high")]
    assert found == pytest.approx([interval.value, interval.low, interval.high], abs=1e-6)
    slices = {one["part"]: one["n_rows"] for one in read_json(SLICES)["slices"] if one["column"] == "copy_in_training"}
    assert slices == {"yes": len(leaked), "no": len(kept)}


def test_images_of_one_group_count_as_one(trained: Path) -> None:
    evaluate.measure()
    before = _metrics()
    n_rows = parquet.read_table(MANIFEST).num_rows
    _with_column("group", [f"{place // 8}" for place in range(n_rows)])
    _reference_again()
    evaluate.measure()
    after = _metrics()
    assert after["scratch_gain"] == before["scratch_gain"]
    assert (after["nll_low"], after["nll_high"]) != (before["nll_low"], before["nll_high"])
    assert (
        after["scratch_gain_high"] - after["scratch_gain_low"]
        >= before["scratch_gain_high"] - before["scratch_gain_low"]
    )
    rows = tested.tested(read_params(), read_manifest(), read_manifest().of_split("test"))
    said = rows.answers.probabilities["scratch"]
    said[::2] = 1 - said[::2]  # a reference that is mostly wrong on every other image
    answers_of = rows.actual, rows.predicted(), rows.predicted("scratch"), rows.settings.confidence
    told = [(one["gain"], one["p_value"]) for one in judging._classes(rows, "scratch")]
    of_groups, of_each = (
        [(asdict(one.gain), one.p_value) for _, _, one in by_class(*answers_of, groups)]
        for groups in (rows.groups, None)
    )
    assert told == of_groups != of_each


def test_every_figure_lies_in_its_interval(trained: Path) -> None:
    evaluate.measure()
    metrics = _metrics()
    named = [key.removesuffix("_low") for key in metrics if key.endswith("_low")]
    assert {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "nll", "brier", "ece", "aurc", "lac_coverage"} <= set(
        named
    )
    for name in named:
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"], name


def test_sets_of_classes_stand_beside_the_predictions_and_are_counted(trained: Path) -> None:
    evaluate.measure()
    predictions, calibration = _table(PREDICTIONS), read_json(CALIBRATION)
    for method in ("lac", "aps"):
        held = [row[f"set_{method}"].split(" | ") if row[f"set_{method}"] else [] for row in predictions]
        covered = sum(row["actual"] in own for row, own in zip(predictions, held, strict=True)) / len(held)
        assert _metrics()[f"{method}_coverage"] == pytest.approx(covered, abs=1e-6)
        assert calibration["sets"][method]["coverage"]["value"] == pytest.approx(covered)
        assert calibration["sets"][method]["mean_size"] == pytest.approx(np.mean([len(own) for own in held]))
    assert "each validation image as the fit to all others" in calibration["validation"]["how"]


def test_the_temperature_is_in_the_model_once(trained: Path) -> None:
    evaluate.measure()
    found = read_json(CALIBRATION)["temperature"]
    assert found["nll_as_it_is"] == pytest.approx(_metrics()["nll"], abs=2e-6)
    assert found["nll_untempered"] > found["nll_as_it_is"]  # ridge scores lie between 0 and 1
    assert _metrics()["nll_untempered"] == found["nll_untempered"]
    classifier, card = load_model(finetune.MODEL)
    rows = open_labels(trained, read_manifest().of_split("test"), "a test", "")
    inputs = prepared("data/digits", rows, card.preprocess).inputs
    raw = predict_logits(classifier, inputs).double() / found["inverse"]
    plain = float(torch.nn.functional.cross_entropy(raw, torch.tensor([row.label for row in rows])))
    assert found["nll_untempered"] == pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize("improves", [True, False])
def test_a_reference_that_had_too_few_images_is_said_to_have_had(trained: Path, improves: bool) -> None:
    content = {key: value for key, value in read_json(reference.HISTORY).items() if key not in ("version", "made_from")}
    of_scratch = [epoch for epoch in content["epochs"] if epoch["step_name"] == "scratch"]
    assert len(of_scratch) > 1
    for place, epoch in enumerate(of_scratch):
        epoch["val_nll"] = 1.0 - 0.01 * place if improves else 1.0 + 0.01 * place
    write_json(reference.HISTORY, content, reference.MADE_FROM)
    evaluate.measure()
    assert [text[:44] for text in read_json(VERDICT)["caveats"]] == [
        "The reference from scratch was still improvi"
    ] * improves


def test_a_reference_that_learned_nothing_is_said_to_have_learned_nothing(trained: Path) -> None:
    classifier, card = load_model(SCRATCH)
    with torch.no_grad():
        for parameter in classifier.head.parameters():
            parameter.zero_()
    save_model(SCRATCH, classifier, card)
    evaluate.measure()
    said = [text for text in read_json(VERDICT)["caveats"] if "answers every test image alike" in text]
    assert [text.split(" answers")[0] for text in said] == ["The reference scratch"]


def test_what_the_ranking_warned_of_is_said_and_doubts_the_verdict(trained: Path) -> None:
    ranking = {key: value for key, value in read_json(finetune.RANKING).items() if key not in ("version", "made_from")}
    write_json(finetune.RANKING, {**ranking, "early_warnings": ["It is far."]}, finetune._RANKED_FROM)
    _reference_again()
    evaluate.measure()
    verdict = read_json(VERDICT)
    assert verdict["early_warnings"] == ["It is far."]
    assert not (verdict["caveats"] and verdict["verdict"] == "positive")


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
