"""The benchmark of choosing: no image is learned and tested, and figures are those that one would count."""

from pathlib import Path

import pytest

from benchmarks.selection import truth
from benchmarks.selection.judge import Judged
from benchmarks.selection.pool import candidates, label
from benchmarks.selection.report import cost_share, document, points
from benchmarks.selection.targets import TARGETS, Target

TRUTH = {
    "a": {"x": {"accuracy": 0.9, "cpu_s": 30.0}, "y": {"accuracy": 0.8, "cpu_s": 10.0}},
    "b": {"x": {"accuracy": 0.5, "cpu_s": 30.0}, "y": {"accuracy": 0.7, "cpu_s": 10.0}},
}
JUDGED = {
    "a": Judged({"LogME": [2.0, 1.0], "static prior": [1.0, 1.0]}, "x", {"x": 0.8, "y": 0.7}, {(0, 1): 0}, 4.0, 2.0),
    "b": Judged({"LogME": [2.0, 1.0], "static prior": [1.0, 1.0]}, "x", {"x": 0.8, "y": 0.7}, {(0, 1): 0}, 2.0, 1.0),
}


def test_regret_and_cost_by_hand() -> None:
    assert points(TRUTH["a"], "x") == 0
    assert points(TRUTH["b"], "x") == pytest.approx(20)
    assert cost_share(TRUTH["a"], 4.0) == pytest.approx(0.1)


def test_the_document_says_what_one_would_count() -> None:
    lines = document(TRUTH, JUDGED, "Here.").splitlines()
    assert "| `select` | 0.000 | 10.00 | 20.0 | 1 of 2 | 10.00 | 7.5 (5.0 to 10.0) |" in lines
    assert "| LogME | 0.000 | 10.00 | 20.0 | 1 of 2 | 10.00 | the same |" in lines
    assert "| static prior | 0.000 | 7.50 | 10.0 | 0 of 2 | 10.00 | 0 |" in lines
    assert "| b | `x` | 0.500 | 0.800 | `y` | 0.700 | 20.0 | 5.0 |" in lines


def test_what_was_found_is_kept_a_line_a_run(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    assert truth.read(path) == {}
    for seed in (1, 0, 1):
        truth.add(path, TARGETS[0], "rootstock/strokes@/somewhere/w.pth", seed, {"accuracy": seed / 2})
    assert truth.read(path) == {
        ("hymenoptera", "rootstock/strokes@w.pth", 0): {"accuracy": 0.0},
        ("hymenoptera", "rootstock/strokes@w.pth", 1): {"accuracy": 0.5},
    }


def test_candidates_are_told_apart_without_their_folders(tmp_path: Path) -> None:
    pool = candidates(tmp_path)
    assert len(pool) >= 8
    assert len({label(one) for one in pool}) == len(pool)
    assert not any(str(tmp_path) in label(one) for one in pool)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_image_is_learned_and_tested(target: Target, tmp_path: Path, shared: Path) -> None:
    target.lay_out(shared / "datasets", tmp_path, 0)
    learned, tested = (
        {path.read_bytes(): path for path in (tmp_path / split).rglob("*") if path.is_file()}
        for split in ("train", "test")
    )
    assert learned
    assert len(tested) > 100
    assert not set(learned) & set(tested)
