"""How orders of candidates are judged: weighted tau against its definition, regret by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.errors import UserError
from transfer.metrics.ranking import regret, weighted_tau


def _one_way(scores: np.ndarray, accuracies: np.ndarray, by: np.ndarray, then: np.ndarray) -> float:
    """Return Vigna's tau with hyperbolic weights of the ranks by one value, ties by the other."""
    order = sorted(range(len(scores)), key=lambda one: (-by[one], -then[one]))
    weight = {one: 1 / (1 + place) for place, one in enumerate(order)}
    agree = own = other = 0.0
    for i, j in itertools.combinations(range(len(scores)), 2):
        together = weight[i] + weight[j]
        first, second = np.sign(scores[i] - scores[j]), np.sign(accuracies[i] - accuracies[j])
        agree, own, other = agree + together * first * second, own + together * first**2, other + together * second**2
    return agree / math.sqrt(own * other)


@given(st.integers(0, 1000), st.sampled_from([3, 100]))
def test_weighted_tau_is_its_definition(seed: int, n_values: int) -> None:
    random = np.random.default_rng(seed)
    scores, accuracies = random.integers(0, n_values, 9).astype(float), random.integers(0, n_values, 9).astype(float)
    scores[:2], accuracies[:2] = (0, 1), (1, 0)  # neither is constant
    expected = (_one_way(scores, accuracies, scores, accuracies) + _one_way(scores, accuracies, accuracies, scores)) / 2
    assert weighted_tau(scores.tolist(), accuracies.tolist()) == pytest.approx(expected, abs=1e-12)


def test_the_order_among_the_best_matters_most() -> None:
    accuracies = [90.0, 80.0, 70.0, 60.0]
    assert weighted_tau([4, 3, 2, 1], accuracies) == pytest.approx(1.0)
    assert weighted_tau([1, 2, 3, 4], accuracies) == pytest.approx(-1.0)
    assert weighted_tau([3, 4, 2, 1], accuracies) < weighted_tau([4, 3, 1, 2], accuracies)


def test_a_constant_score_orders_nothing() -> None:
    assert weighted_tau([9.0, 9.0, 9.0], [1.0, 2.0, 3.0]) == 0.0


def test_regret_by_hand() -> None:
    accuracies = [81.0, 84.5, 83.0]
    assert regret([1, 3, 2], accuracies) == 0.0
    assert regret([1, 2, 3], accuracies) == pytest.approx(1.5)
    assert regret([3, 2, 3], accuracies) == pytest.approx(2.5)  # by chance the first or the third
    assert regret([0, 0, 0], accuracies) == pytest.approx(84.5 - np.mean(accuracies))


@pytest.mark.parametrize("measure", [weighted_tau, regret])
@pytest.mark.parametrize(
    ("scores", "accuracies", "sentence"),
    [
        ([1.0], [1.0], "at least 2 candidates"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "2 scores and 3 accuracies"),
        ([1.0, math.nan], [1.0, 2.0], "not a number"),
        ([1.0, 2.0], [math.nan, 2.0], "not a number"),
    ],
)
def test_what_cannot_be_judged_is_refused(measure, scores, accuracies, sentence) -> None:
    with pytest.raises(UserError, match=sentence):
        measure(scores, accuracies)


def test_accuracies_without_an_order_are_refused() -> None:
    with pytest.raises(UserError, match="no order"):
        weighted_tau([1.0, 2.0], [5.0, 5.0])
