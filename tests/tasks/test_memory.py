"""Finished runs are remembered, and count when a backbone is chosen for other images, never for their own."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import run_memory
from adapters.manifest_file import read_manifest
from flows.select import rank_all
from tasks import evaluate, memory
from tasks import select as steps
from tasks.handoffs import PREDICTIONS
from tasks.memory import gains_of, remember
from tasks.params import read_params
from tasks.params_blocks import SelectParams
from transfer.records import CandidateScore

SetParams = Callable[..., None]


def _lines() -> tuple[dict[str, Any], ...]:
    return run_memory.read(run_memory.memory_file(Path.cwd()))


def _scores() -> list[CandidateScore]:
    return [CandidateScore.from_plain(row) for row in steps.read_ranking()["candidates"]]


@pytest.fixture
def elsewhere(ranked: Path) -> dict[str, Any]:
    """Return a line as a run of the same network on other images would leave it."""
    score, n_rows = _scores()[0], 400
    return {
        "version": 1,
        "task": "leaves/01234567",
        "images": ["0" * 16],
        "network": f"rootstock/strokes@{(score.weights_sha256 or '')[:16]}",
        "weights": score.weights_sha256,
        "strategy": "staged",
        "probe": 0.6,
        "n_scored": n_rows,
        "rows_per_class": 40.0,
        "n_test": n_rows,
        "n_right": 320,
    }


def _add(*lines: Any) -> None:
    for line in lines:
        run_memory.append(run_memory.memory_file(Path.cwd()), line)


def test_a_run_leaves_what_it_came_to_but_nothing_for_its_own_images(trained: Path) -> None:
    evaluate.measure()
    remember()
    (line,) = _lines()
    with PREDICTIONS.open(newline="") as stream:
        right = [row["actual"] == row["predicted"] for row in csv.DictReader(stream)]
    assert (line["n_test"], line["n_right"]) == (len(right), sum(right))
    (score,) = _scores()
    assert (line["probe"], line["n_scored"]) == (score.ridge_loo_accuracy, score.n_rows)
    assert line["network"] == f"rootstock/strokes@{(score.weights_sha256 or '')[:16]}"
    assert line["strategy"] == read_params().finetune.strategy
    assert line["task"].startswith("digits/")
    assert gains_of([score], SelectParams())[1] == 0
    _add(line | {"images": ["0" * 16]})  # as if it had been of other images
    gains, n_runs = gains_of([score], SelectParams())
    assert n_runs == 1
    assert gains.mean[0] != 0


def test_a_run_on_other_images_counts_in_the_ranking(
    elsewhere: dict[str, Any], set_params: SetParams, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = _scores()
    assert before.gain == 0
    _add(elsewhere)
    rank_all()
    (after,) = _scores()
    assert after.gain > 0.1
    assert after.accuracy.value > before.accuracy.value
    assert "training rows and 1 earlier run, 95 % interval" in capsys.readouterr().out
    assert steps.read_ranking()["n_remembered_runs"] == 1
    set_params(select={"memory": False})
    rank_all()
    assert _scores() == [before]
    assert steps.read_ranking()["n_remembered_runs"] == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"n_right": 401},
        {"probe": 1.5},
        {"probe": "0.6"},
        {"n_test": 0},
        {"rows_per_class": 0},
        {"task": ""},
        {"images": ["x"] * 257},
        {"network": None},
    ],
)
def test_a_line_that_cannot_be_is_left_out(elsewhere: dict[str, Any], changed: dict[str, Any]) -> None:
    _add(elsewhere | changed, ["no", "line"], elsewhere | {"task": "right"})
    assert gains_of(_scores(), SelectParams())[1] == 1


def test_a_line_without_a_key_is_left_out(elsewhere: dict[str, Any]) -> None:
    _add(*({key: value for key, value in elsewhere.items() if key != left_out} for left_out in elsewhere))
    assert gains_of(_scores(), SelectParams())[1] == 0


def test_a_run_that_was_repeated_counts_once_as_it_ended_last(elsewhere: dict[str, Any]) -> None:
    _add(elsewhere, elsewhere | {"n_right": 240}, elsewhere | {"strategy": "full"}, elsewhere | {"n_right": 360})
    gains, n_runs = gains_of(_scores(), SelectParams())
    assert n_runs == 2
    run_memory.memory_file(Path.cwd()).unlink()
    _add(elsewhere | {"strategy": "full"}, elsewhere | {"n_right": 360})
    assert gains_of(_scores(), SelectParams())[0].mean.equal(gains.mean)


def test_an_image_that_came_into_the_data_set_shuts_out_the_run_that_was_on_it(elsewhere: dict[str, Any]) -> None:
    row = read_manifest().of_split("train")[0]
    _add(elsewhere | {"images": ["0" * 16, row.sha256[:16]]})
    assert gains_of(_scores(), SelectParams())[1] == 0


def test_data_sets_of_one_name_are_one_where_they_share_images(elsewhere: dict[str, Any]) -> None:
    _add(elsewhere, elsewhere | {"images": ["1" * 12]})
    assert gains_of(_scores(), SelectParams())[1] == 2
    _add(elsewhere | {"images": ["1" * 12, "2" * 12], "n_right": 100})
    assert gains_of(_scores(), SelectParams())[1] == 2


def test_training_from_scratch_says_nothing_of_the_weights_that_were_left(trained: Path) -> None:
    evaluate.measure()
    card = Path("artifacts/finetune/model/card.json")
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("rootstock/strokes", "rootstock/strokes@none", 1), encoding="utf-8")
    remember()
    assert _lines() == ()
    card.write_text(text, encoding="utf-8")
    remember()
    assert len(_lines()) == 1


def test_of_many_runs_the_newest_count(elsewhere: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST", 3)
    _add(*(elsewhere | {"task": str(place), "n_right": 100 + 20 * place} for place in range(10)))
    gains, n_runs = gains_of(_scores(), SelectParams())
    assert n_runs == 3
    run_memory.memory_file(Path.cwd()).unlink()
    _add(*(elsewhere | {"task": str(place), "n_right": 100 + 20 * place} for place in range(7, 10)))
    assert gains_of(_scores(), SelectParams())[0].mean.equal(gains.mean)


def test_where_nothing_can_be_written_the_run_ends_well(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.measure()
    Path("blocked").write_text("a file")
    monkeypatch.setenv("ROOTSTOCK_MEMORY", "blocked/memory.jsonl")
    remember()
    assert "What this run came to is not remembered: " in capsys.readouterr().out
