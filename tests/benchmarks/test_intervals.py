"""Intervals hold the truth, and verdicts are right, as docs/evaluation.md says: short runs of what measured it."""

import numpy as np
import pytest

from benchmarks import intervals, verdicts

_N_WORLDS = 200
_SLACK = 0.03  # of a share of 200: twice its standard deviation at 95 %


@pytest.mark.slow
@pytest.mark.parametrize("world", intervals.WORLDS[3:4], ids=lambda world: world.name)
def test_intervals_hold_the_truth_as_often_as_they_say(world: intervals.World) -> None:
    found = intervals.coverage(world, _N_WORLDS, 5)
    assert {name: share for name, share in found.items() if share < 0.95 - 0.02 - _SLACK} == {}
    assert {name: share for name, share in found.items() if share > 0.97 + _SLACK and name != "ECE"} == {}


@pytest.mark.slow
def test_intervals_hold_the_truth_where_classes_are_rare() -> None:
    (world,) = (world for world in intervals.WORLDS if world.per_class)
    found = intervals.coverage(world, 100, 5)
    assert {name: share for name, share in found.items() if share <= 0.85} == {}


def test_a_data_set_of_rare_classes_has_their_number_of_rows() -> None:
    (world,) = (world for world in intervals.WORLDS if world.per_class)
    labels, probabilities = intervals.drawn(world, world.n_rows, np.random.default_rng(0))
    assert np.bincount(labels).tolist() == list(world.per_class)
    assert probabilities.shape == (world.n_rows, world.n_classes)
    many, _ = intervals.drawn(world, 100 * world.n_rows, np.random.default_rng(0))
    assert np.bincount(many).tolist() == [100 * number for number in world.per_class]


@pytest.mark.slow
def test_sets_hold_the_right_class_as_often_as_asked() -> None:
    for method, (held, _, _) in intervals.conformal_coverage(200, _N_WORLDS, 5).items():
        assert held == pytest.approx(0.9, abs=0.01), method


@pytest.mark.slow
def test_planted_backbones_are_found_out() -> None:
    found = [(one["case"], one["verdict"]) for one in verdicts.cases(verdicts.drawn(100))]
    told = {case: verdict for case, verdict in found if case not in (verdicts.ALIKE, verdicts.EXCHANGED)}
    assert told == {
        verdicts.GOOD: "positive",
        verdicts.SHUFFLED: "negative",
        verdicts.PERMUTED: "negative",
        verdicts.FAR: "negative",
    }
    exchanged = [verdict for case, verdict in found if case == verdicts.EXCHANGED]
    assert sum(verdict == "negative" for verdict in exchanged) <= 6  # of 50; at 2.5 % more come once in 10,000 times
