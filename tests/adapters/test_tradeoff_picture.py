"""Accuracy against latency: the front by hand, a picture that is the same every time."""

from pathlib import Path

from PIL import Image

from adapters.tradeoff_picture import draw_tradeoff, pareto_front
from transfer.records import CandidateCost, CandidateScore, Interval


def _score(name: str, accuracy: float, beyond: str = "") -> CandidateScore:
    interval = Interval(accuracy, accuracy - 0.02, min(1.0, accuracy + 0.02))
    return CandidateScore(name, interval, 0.2, False, accuracy, 0.1, accuracy, {}, None, 99, 64, 9, None, None, beyond)


SCORES = [
    _score("a", 0.95),
    _score("b", 0.94),
    _score("c", 0.94),
    _score("d", 0.8, "slower than a limit"),
    _score("e", 0.7),
]
COSTS = {name: CandidateCost(ms, 1.0, 1.0, 1.0) for name, ms in zip("abcde", (30, 10, 12, 40, 1.5), strict=True)}


def test_the_front_is_what_nothing_beats_in_both() -> None:
    assert [score.reference for score in pareto_front(SCORES, COSTS)] == ["e", "b", "a"]


def test_the_picture_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        draw_tradeoff(tmp_path / name, SCORES, COSTS, 0.95, 35.0)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as picture:
        assert picture.width > 800
