"""The index of drift against its own formula, its interval against simulation, its alarms against their rate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from transfer.data.drift import N_BINS, Profile, profile_of_names, profile_of_numbers, shift

CONFIDENCE = 0.95


def test_ten_bins_hold_a_tenth_each_and_their_edges_are_quantiles() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    profile = profile_of_numbers(values)
    assert profile.counts == (100,) * N_BINS
    assert profile.edges == tuple(np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf"))
    assert profile.quantiles == tuple(np.quantile(values, [0, 0.05, 0.5, 0.95, 1], method="inverted_cdf"))


def test_a_value_that_many_images_share_has_a_bin_of_its_own() -> None:
    profile = profile_of_numbers([32.0] * 90 + [*range(33, 43)])
    assert profile.edges is not None
    assert profile.counts[:2] == (0, 90)
    smaller = shift(profile, [31.0] * 100, CONFIDENCE)
    assert (smaller.most, smaller.before, smaller.now) == ("below 32", 0.0, 1.0)
    assert shift(profile, [32.0] * 90 + [*range(33, 43)], CONFIDENCE).index == 0.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_every_value_is_counted_once_and_the_interval_holds_together(before: list[float], now: list[float]) -> None:
    profile = profile_of_numbers(before)
    assert sum(profile.counts) == len(before)
    assert profile.edges is not None
    assert len(profile.counts) == len(profile.edges) + 1
    found = shift(profile, now, CONFIDENCE)
    assert 0 <= found.low <= found.high
    assert found.index >= 0
    assert found.low <= found.index
    assert all(math.isfinite(value) for value in (found.index, found.low, found.high))


def test_the_index_is_its_formula() -> None:
    before, now = {"RGB": 5000, "L": 3000, "P": 2000}, {"RGB": 4000, "L": 4000, "P": 2000}
    values = [name for name, count in now.items() for _ in range(count)]
    by_hand = sum((now[n] - before[n]) / 1e4 * math.log(now[n] / before[n]) for n in before)
    found = shift(Profile(None, before), values, CONFIDENCE)
    assert found.index == pytest.approx(by_hand, rel=1e-3)
    assert (found.most, found.before, found.now) in {("RGB", 0.5, 0.4), ("L", 0.3, 0.4)}


def test_a_new_name_and_one_that_is_gone_are_no_infinity() -> None:
    found = shift(profile_of_names(["jpg"] * 500), ["png"] * 500, CONFIDENCE)
    assert 5 < found.low < found.index < found.high < math.inf
    assert (found.before, found.now) == ((1.0, 0.0) if found.most == "jpg" else (0.0, 1.0))


def test_names_too_rare_to_tell_are_counted_together() -> None:
    before = Profile(None, {"a": 500, **{f"rare {n}": 1 for n in range(50)}})
    found = shift(before, ["a"] * 500 + [f"other {n}" for n in range(50)], CONFIDENCE)
    assert found.index < 1e-6
    assert found.low == 0.0


def _true_index(moved: float) -> float:
    """Return the index of a normal distribution that moved by so many deviations, over its own tenths."""
    edges = norm.ppf(np.arange(1, 10) / 10)
    shares = np.diff([0.0, *norm.cdf(edges - moved), 1.0])
    return float(((shares - 0.1) * np.log(shares / 0.1)).sum())


def _lows(n_before: int, n_now: int, moved: float, repeats: int) -> list[tuple[float, float]]:
    draw = np.random.default_rng(n_before + n_now)
    found = [
        shift(profile_of_numbers(draw.normal(size=n_before)), draw.normal(moved, size=n_now), CONFIDENCE)
        for _ in range(repeats)
    ]
    return [(one.low, one.high) for one in found]


@pytest.mark.parametrize(("n_before", "n_now"), [(200, 200), (2000, 200), (2000, 2000)])
def test_what_did_not_move_is_called_moved_no_more_often_than_promised(n_before: int, n_now: int) -> None:
    lows = _lows(n_before, n_now, 0.0, repeats=120)
    assert sum(low > 0.0 for low, _ in lows) <= 13  # 5 % of 120 are 6; more than 13 have a chance of 0.2 %
    assert sum(low > 0.1 for low, _ in lows) == 0


@pytest.mark.parametrize(("n_before", "n_now"), [(300, 300), (3000, 300), (3000, 3000)])
def test_the_interval_holds_the_true_index(n_before: int, n_now: int) -> None:
    moved = 0.323
    assert _true_index(moved) == pytest.approx(0.1, abs=2e-3)
    bounds = _lows(n_before, n_now, moved, repeats=120)
    assert sum(low > _true_index(moved) for low, _ in bounds) <= 13
    assert sum(high < _true_index(moved) for _, high in bounds) <= 18


def test_what_moved_far_is_found() -> None:
    assert all(low > 0.1 for low, _ in _lows(1000, 1000, 0.7, repeats=40))
    (large,) = _lows(200_000, 200_000, 1.0, repeats=1)
    assert large[0] < _true_index(1.0)
    assert large[1] == pytest.approx(_true_index(1.0), rel=0.02)
