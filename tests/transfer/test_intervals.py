"""Intervals and tests of proportions, against scipy and by their invariants."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from transfer.errors import UserError
from transfer.metrics.intervals import (
    f1_interval,
    mcnemar_p,
    mean_of_strata,
    paired_difference,
    share_interval,
    wilson_interval,
)
from transfer.records import Interval

CONFIDENCES = st.floats(0.5, 0.999)


@st.composite
def _proportions(draw: st.DrawFn) -> tuple[int, int]:
    n_rows = draw(st.integers(1, 500))
    return draw(st.integers(0, n_rows)), n_rows


@st.composite
def _discordant(draw: st.DrawFn) -> tuple[int, int, int]:
    first, second = draw(st.integers(0, 200)), draw(st.integers(0, 200))
    return first, second, draw(st.integers(max(1, first + second), 1000))


@given(_proportions(), CONFIDENCES)
def test_wilson_is_scipys(counts: tuple[int, int], confidence: float) -> None:
    expected = stats.binomtest(*counts).proportion_ci(confidence, method="wilson")
    interval = wilson_interval(*counts, confidence)
    assert interval.value == counts[0] / counts[1]
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(_proportions(), CONFIDENCES)
def test_wilson_holds_its_value_and_mirrors(counts: tuple[int, int], confidence: float) -> None:
    n_right, n_rows = counts
    interval, mirrored = (
        wilson_interval(n_right, n_rows, confidence),
        wilson_interval(n_rows - n_right, n_rows, confidence),
    )
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-12)
    assert (
        interval.high - interval.low
        <= wilson_interval(n_right, n_rows, (1 + confidence) / 2).high - interval.low + 1e-12
    )


def test_wilson_covers_as_often_as_it_says() -> None:
    n_rows, share, confidence = 60, 0.9, 0.95
    intervals = [wilson_interval(n_right, n_rows, confidence) for n_right in range(n_rows + 1)]
    inside = [interval.low <= share <= interval.high for interval in intervals]
    assert stats.binom.pmf(np.arange(n_rows + 1), n_rows, share)[inside].sum() == pytest.approx(confidence, abs=0.02)


@given(_proportions(), st.integers(0, 50), CONFIDENCES)
def test_f1_and_its_interval_are_those_of_the_rows_found(
    counts: tuple[int, int], n_false: int, confidence: float
) -> None:
    n_found, n_there = counts
    found = f1_interval(n_found, n_there - n_found, n_false, confidence)
    labels, said = np.repeat([1, 0], [n_there, n_false]), np.repeat([1, 0, 1], [n_found, n_there - n_found, n_false])
    assert found.value == pytest.approx(f1_score(labels, said, zero_division=0.0), abs=1e-12)
    expected = stats.binomtest(n_found, n_there + n_false).proportion_ci(confidence, method="wilson")
    back = [bound / (2 - bound) for bound in (found.low, found.high)]
    assert back == pytest.approx([expected.low, expected.high], abs=1e-9)


def test_the_interval_of_an_area_by_its_rows_holds_the_truth() -> None:
    draw, held = np.random.default_rng(0), 0
    for _ in range(400):
        own, others = draw.normal(1.5, size=3), draw.normal(size=200)
        area = float((own[:, None] > others).mean())
        interval = share_interval(area, 3, 0.95)
        held += interval.low <= stats.norm.cdf(1.5 / 2**0.5) <= interval.high
    assert held / 400 > 0.93


@pytest.mark.parametrize("counts", [(0, 0), (-1, 5), (6, 5)])
def test_no_proportion_is_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="is no proportion"):
        wilson_interval(*counts, 0.95)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_scipys_binomial_test(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar_p(first, second) == pytest.approx(expected, rel=1e-9)


@given(_discordant(), CONFIDENCES)
def test_the_difference_is_antisymmetric_and_in_its_interval(counts: tuple[int, int, int], confidence: float) -> None:
    first, second, n_rows = counts
    gain, loss = (paired_difference(*pair, n_rows, confidence) for pair in ((first, second), (second, first)))
    assert -1 <= gain.low <= gain.value <= gain.high <= 1
    assert (gain.value, gain.low, gain.high) == pytest.approx((-loss.value, -loss.high, -loss.low))


@given(_discordant())
def test_the_difference_is_walds_on_adjusted_counts(counts: tuple[int, int, int]) -> None:
    first, second, n_rows = counts
    both = n_rows - first - second
    cells = np.array([first + 0.5, second + 0.5, both + 1.0])
    scores = np.array([1.0, -1.0, 0.0])
    shares = cells / cells.sum()
    mean = float(shares @ scores)
    error = math.sqrt(float(shares @ (scores - mean) ** 2) / cells.sum())
    interval = paired_difference(first, second, n_rows, 0.95)
    limits = (mean - stats.norm.ppf(0.975) * error, mean + stats.norm.ppf(0.975) * error)
    value = (first - second) / n_rows
    assert interval.low == pytest.approx(max(-1, min(value, limits[0])), abs=1e-9)
    assert interval.high == pytest.approx(min(1, max(value, limits[1])), abs=1e-9)


def test_without_discordant_rows_nothing_differs_and_the_interval_is_not_a_point() -> None:
    interval = paired_difference(0, 0, 50, 0.95)
    assert interval.value == 0
    assert interval.low < 0 < interval.high


@pytest.mark.parametrize("counts", [(0, 0, 0), (-1, 0, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match="impossible counts"):
        paired_difference(*counts, 0.95)


@given(_proportions(), CONFIDENCES)
def test_the_mean_of_one_stratum_is_that_stratum(counts: tuple[int, int], confidence: float) -> None:
    one, whole = wilson_interval(*counts, confidence), mean_of_strata([wilson_interval(*counts, confidence)])
    assert (whole.value, whole.low, whole.high) == pytest.approx((one.value, one.low, one.high))


def test_the_mean_of_strata_by_hand() -> None:
    found = mean_of_strata([Interval(0.8, 0.5, 0.9), Interval(0.6, 0.2, 0.8)])
    assert (found.value, found.low) == pytest.approx((0.7, 0.7 - 0.25))
    assert found.high == pytest.approx(0.7 + math.hypot(0.1, 0.2) / 2)
    with pytest.raises(UserError, match="no class"):
        mean_of_strata([])


def test_the_interval_of_a_mean_of_strata_covers_as_often_as_it_says() -> None:
    draw, rates, sizes = np.random.default_rng(0), (0.95, 0.8, 0.6), (60, 20, 8)
    truth, covered = sum(rates) / 3, 0
    for _ in range(2000):
        found = mean_of_strata(
            [wilson_interval(int(draw.binomial(n, rate)), n, 0.95) for n, rate in zip(sizes, rates, strict=True)]
        )
        covered += found.low <= truth <= found.high
    assert 0.93 < covered / 2000 < 0.98
