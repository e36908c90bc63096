"""Several tests at once by the closure of Bonferroni's test; groups by writing out every flip."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.metrics.intervals import mcnemar_p, wilson_interval
from transfer.metrics.multiplicity import bonferroni, holm, sign_flip_p

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(P_VALUES)
def test_holm_is_the_closure_of_bonferronis_test(p_values: list[float]) -> None:
    places = range(len(p_values))
    families = [family for size in places for family in combinations(places, size + 1)]
    tests = {family: min(1.0, len(family) * min(p_values[place] for place in family)) for family in families}
    expected = [max(p for family, p in tests.items() if place in family) for place in places]
    assert holm(p_values) == pytest.approx(expected)


@given(P_VALUES)
def test_holm_keeps_the_order_and_is_between_the_value_and_bonferronis(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert sorted(adjusted) == [adjusted[place] for place in sorted(range(len(p_values)), key=p_values.__getitem__)]
    assert all(p <= q <= min(1.0, len(p_values) * p) + 1e-12 for p, q in zip(p_values, adjusted, strict=True))


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == ()


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_groups_are_tested_by_writing_out_every_flip(sums: list[int]) -> None:
    flipped = [
        sum(sign * one for sign, one in zip(signs, sums, strict=True)) for signs in product((-1, 1), repeat=len(sums))
    ]
    expected = sum(abs(total) >= abs(sum(sums)) for total in flipped) / len(flipped)
    assert sign_flip_p(sums) == pytest.approx(expected)


@given(st.integers(0, 300), st.integers(0, 300))
def test_of_single_rows_it_is_mcnemars_exact_test(first: int, second: int) -> None:
    assert sign_flip_p([1] * first + [-1] * second) == pytest.approx(mcnemar_p(first, second), rel=1e-7)


def test_all_of_many_intervals_hold_together_as_often_as_asked() -> None:
    n_rows, n_models, n_draws = 300, 20, 2000
    right = np.random.default_rng(0).binomial(n_rows, 0.9, (n_draws, n_models))
    holds = {}
    for confidence in (0.95, bonferroni(0.95, n_models)):
        bounds = [wilson_interval(n, n_rows, confidence) for n in range(n_rows + 1)]
        inside = np.array([one.low <= 0.9 <= one.high for one in bounds])
        holds[confidence] = inside[right].all(axis=1).mean()
    assert holds[0.95] < 0.5, "at the level of one, most families of twenty have one that misses"
    assert 0.94 <= holds[bonferroni(0.95, n_models)] <= 0.99


def test_one_claim_needs_the_confidence_itself() -> None:
    assert bonferroni(0.9, 1) == pytest.approx(0.9)
    assert bonferroni(0.9, 10) == pytest.approx(0.99)
