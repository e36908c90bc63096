"""Distances between two collections of images: against scipy and closed forms."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transfer.data.shift import shift_of, total_variation

NUMBERS = st.lists(st.integers(-5, 5).map(float), min_size=4, max_size=30).map(np.asarray)


@given(NUMBERS, NUMBERS)
def test_the_distance_is_that_of_scipy(before: np.ndarray, after: np.ndarray) -> None:
    found = shift_of(before, after)
    assert found is not None
    assert found.distance == pytest.approx(stats.ks_2samp(before, after, method="asymp").statistic, abs=1e-12)
    assert (found.n_before, found.n_after) == (before.size, after.size)
    assert found.mean_before == pytest.approx(before.mean())
    assert found.mean_after == pytest.approx(after.mean())


@pytest.mark.parametrize("moved", [0.0, 0.05, 0.2])
def test_the_p_value_is_close_to_the_exact_one(moved: float) -> None:
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=400), generator.normal(loc=moved, size=300)
    found = shift_of(before, after)
    assert found is not None
    assert found.p_value == pytest.approx(stats.ks_2samp(before, after, method="exact").pvalue, abs=0.03)


def test_false_alarms_are_as_rare_as_they_are_said_to_be() -> None:
    generator = np.random.default_rng(1)
    drawn = (shift_of(generator.normal(size=200), generator.normal(size=150)) for _ in range(400))
    rate = sum(one.p_value < 0.05 for one in drawn if one is not None) / 400
    assert rate <= stats.binom.ppf(0.999, 400, 0.05) / 400


def test_of_nothing_nothing_is_said() -> None:
    assert shift_of(np.array([]), np.array([1.0])) is None
    assert shift_of(np.array([1.0]), np.array([])) is None


@given(st.lists(st.sampled_from("abc"), min_size=1), st.lists(st.sampled_from("abcd"), min_size=1))
def test_total_variation_is_half_the_sum_of_differences(before: list[str], after: list[str]) -> None:
    shares = [[side.count(kind) / len(side) for kind in "abcd"] for side in (before, after)]
    expected = 0.5 * np.abs(np.subtract(*shares)).sum()
    assert total_variation(Counter(before), Counter(after)) == pytest.approx(expected)
    assert total_variation(Counter(before), Counter(before * 3)) == pytest.approx(0.0)


def test_disjoint_kinds_are_as_far_apart_as_can_be() -> None:
    assert total_variation(Counter("aab"), Counter("ccd")) == pytest.approx(1.0)
