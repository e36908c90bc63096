"""How many models the test images were asked about, and what may be claimed of all of them."""

from pathlib import Path
from typing import Any

import pytest

from adapters.held_out_file import read_held_out, write_held_out
from adapters.json_files import read_json, read_plain_json
from adapters.model_files import load_model, save_model
from adapters.sealed_labels import read_looks
from tasks import evaluate
from tasks.champion import compare_with_champion
from tasks.compared import is_outdated
from tasks.handoffs import HELD_OUT, LOOKS, METRICS, MODEL
from tasks.looks_table import show_looks
from transfer.errors import EnvironmentFault
from transfer.metrics.intervals import wilson_interval


def _another_model(shift: float) -> None:
    """Change the model by next to nothing: other bytes, the same answers."""
    classifier, card = load_model(MODEL)
    classifier.head.bias.data += shift
    save_model(MODEL, classifier, card)
    write_held_out(HELD_OUT, read_held_out(HELD_OUT, {}), {"model": MODEL / "model.safetensors"})


def _looks() -> dict[str, Any]:
    content: dict[str, Any] = read_json(LOOKS, made_from={"weights": MODEL / "model.safetensors"})
    return content


def test_the_first_model_is_told_as_it_is(trained: Path) -> None:
    evaluate.measure()
    looks, metrics = _looks(), read_plain_json(METRICS)
    assert (looks["n_models"], looks["confidence"]) == (1, pytest.approx(0.95))
    assert looks["accuracy"]["low"] == pytest.approx(metrics["accuracy_low"], abs=1e-6)
    assert "this model alone" in looks["sentence"]


def test_each_further_model_widens_what_is_claimed_and_the_same_one_does_not(trained: Path) -> None:
    evaluate.measure()
    before = LOOKS.read_bytes()
    evaluate.measure()
    assert LOOKS.read_bytes() == before, "the same model once more tells nothing new"
    for n_models in (2, 3):
        _another_model(1e-6)
        evaluate.measure()
        looks, metrics = _looks(), read_plain_json(METRICS)
        n_test = metrics["n_test"]
        wanted = wilson_interval(round(metrics["accuracy"] * n_test), n_test, 1 - 0.05 / n_models)
        assert looks["n_models"] == n_models
        assert (looks["accuracy"]["low"], looks["accuracy"]["high"]) == pytest.approx((wanted.low, wanted.high))
        assert f"asked about {n_models} models" in looks["sentence"]
    assert len(read_looks(trained).lines) == 4


def test_a_record_of_fewer_looks_than_there_were_is_of_another_day(trained: Path) -> None:
    evaluate.measure()
    compare_with_champion()
    assert not is_outdated(trained)
    before = LOOKS.read_bytes()
    _another_model(1e-6)
    evaluate.measure()
    assert not is_outdated(trained)
    LOOKS.write_bytes(before)
    assert is_outdated(trained)


def test_the_table_lists_looks_and_altered_lines_fail_where_that_is_asked(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_looks(verify=True, as_json=False)
    assert capsys.readouterr().out == "Nobody has looked at test labels yet.\n"
    evaluate.measure()
    show_looks(verify=True, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "how good the model is, and whether transfer helped" in shown
    assert "1 look: 1 model at 1 set of test images." in shown
    ledger = trained / "mlruns/looks.jsonl"
    ledger.write_text(ledger.read_text().replace('"n_rows": ', '"n_rows": 1'))
    show_looks(verify=False, as_json=True)
    with pytest.raises(EnvironmentFault, match="not as it was written"):
        show_looks(verify=True, as_json=True)
