"""Intervals by the bootstrap: scipy's for the same resamples, groups drawn whole, coverage as often as they say."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from transfer.errors import UserError
from transfer.metrics import counted
from transfer.metrics.bootstrap import bca_interval, bootstrapped, resamples


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(8, 40), st.sampled_from([0.8, 0.95]))
def test_the_interval_is_scipys_for_the_same_resamples(seed: int, n_rows: int, confidence: float) -> None:
    draw = np.random.default_rng(seed)
    values = draw.exponential(size=n_rows)
    drawn = draw.choice(values, (500, n_rows)).mean(axis=1)
    left_out = (values.sum() - values) / (n_rows - 1)
    before = stats.bootstrap((values,), np.mean, n_resamples=99, method="percentile", rng=draw)
    before.bootstrap_distribution = drawn
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=0, bootstrap_result=before, confidence_level=confidence, method="BCa"
    ).confidence_interval
    found = bca_interval(float(values.mean()), drawn, left_out, confidence)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_leaving_out_parts_bends_as_leaving_out_rows_does() -> None:
    values = np.random.default_rng(0).exponential(size=3000)
    (of_parts,) = bootstrapped(counted.mean_of(values), resamples(3000, 2000, 0), 0.95)
    drawn = resamples(3000, 2000, 0).drawn
    of_rows = bca_interval(values.mean(), (values @ drawn) / 3000, (values.sum() - values) / 2999, 0.95)
    assert of_parts is not None
    assert of_rows is not None
    assert (of_parts.low, of_parts.high) == pytest.approx(
        (of_rows.low, of_rows.high), abs=0.05 * values.std() / 3000**0.5
    )


def test_every_resample_has_as_many_rows_or_groups_as_there_are() -> None:
    assert (resamples(50, 20, 0).drawn.sum(axis=0) == 50).all()
    groups = np.array([4, 4, 4, 7, 7, 9, 1, 1])
    drawn = resamples(8, 200, 0, groups)
    for label in (4, 7, 9, 1):
        own = drawn.drawn[groups == label]
        assert (own == own[0]).all()
    assert (np.stack([drawn.drawn[groups == label][0] for label in (4, 7, 9, 1)]).sum(axis=0) == 4).all()
    assert sorted(drawn.left_out.sum(axis=0).tolist()) == [5, 6, 6, 7]


def test_the_same_seed_draws_the_same() -> None:
    assert (resamples(30, 10, 3).drawn == resamples(30, 10, 3).drawn).all()
    assert (resamples(30, 10, 3).drawn != resamples(30, 10, 4).drawn).any()


def test_the_variance_of_groups_is_that_of_their_means() -> None:
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 10)
    values = draw.normal(size=100)[groups]  # ten equal rows a group
    own, each = (bootstrapped(counted.mean_of(values), resamples(1000, 2000, 0, of), 0.95)[0] for of in (groups, None))
    assert own is not None
    assert each is not None
    assert (own.high - own.low) / (each.high - each.low) == pytest.approx(10**0.5, rel=0.1)


def test_where_nothing_varies_there_is_no_interval() -> None:
    assert bootstrapped(counted.mean_of(np.full(20, 0.3)), resamples(20, 50, 0), 0.95) == [None]


@pytest.mark.parametrize(("n_rows", "groups"), [(1, None), (5, np.zeros(5, dtype=np.int64))])
def test_one_row_or_one_group_is_refused(n_rows: int, groups: np.ndarray | None) -> None:
    with pytest.raises(UserError, match="at least 2 groups"):
        resamples(n_rows, 10, 0, groups)


def test_a_thousand_resamples_take_less_time_than_a_fifth_of_them_one_by_one() -> None:
    draw = np.random.default_rng(0)
    actual = draw.integers(0, 10, 2000)
    probabilities = draw.dirichlet(np.ones(10), 2000)
    began = time.process_time()
    assert all(
        one is not None for one in bootstrapped(counted.aurocs(actual, probabilities), resamples(2000, 1000, 0), 0.95)
    )
    ours = time.process_time() - began
    began = time.process_time()
    for seed in range(200):
        drawn = np.random.default_rng(seed).integers(0, 2000, 2000)
        roc_auc_score(actual[drawn], probabilities[drawn], multi_class="ovr")
    assert ours < time.process_time() - began
