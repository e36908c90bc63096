"""What fine-tuning is expected to bring: the mixed model's own equations, and what one would expect by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.errors import UserError
from transfer.selection import gains
from transfer.selection.gains import Case, Run, expected_gains, gain_of

CASE = Case("photos", "net@a", "a", "staged", 0.8, 100, 30.0)
TASKS, NETWORKS, STRATEGIES = (
    ("photos", "digits", "scans"),
    ("net@a", "net?s@a", "wide@b", "small@random"),
    ("staged", "full"),
)


def _case(place: int) -> Case:
    network = NETWORKS[place % 4]
    probe, rows = 0.2 + 0.1 * (place % 7), 10.0 * (1 + place % 5)
    strategy = STRATEGIES[place % 2]
    return Case(TASKS[place % 3], network, network.partition("@")[2], strategy, probe, 50 + place, rows)


RUNS = [Run(_case(place), 40 + place, 20 + place % 9) for place in range(0, 60, 5)]


def test_it_solves_hendersons_mixed_model_equations() -> None:
    cases = [_case(place) for place in (1, 2, 7, 11, 30)]
    designs, variances = _effects([run.case for run in RUNS] + cases)
    seen, noise = np.array([gain_of(run) for run in RUNS]).T
    known, asked = designs[: len(RUNS)], designs[len(RUNS) :]
    weights = np.diag(1 / noise)
    precision = known.T @ weights @ known + np.diag(1 / variances)
    effects = np.linalg.solve(precision, known.T @ weights @ seen)
    found = expected_gains(RUNS, cases)
    np.testing.assert_allclose(found.mean.numpy(), asked @ effects, rtol=1e-9)
    np.testing.assert_allclose(found.covariance.numpy(), asked @ np.linalg.solve(precision, asked.T), rtol=1e-8)


def _effects(cases: list[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Return the design of every effect of a mixed model, (N, effects), and the variance of each effect."""
    columns: dict[object, list[float]] = {}
    variances: dict[object, float] = {}

    def add(place: int, name: object, value: float, deviation: float) -> None:
        columns.setdefault(name, [0.0] * len(cases))[place] = value
        variances[name] = deviation**2

    for place, case in enumerate(cases):
        add(place, "all", 1.0, gains.OF_ALL)
        add(place, "room", -math.log(case.probe / (1 - case.probe)), gains.OF_ROOM)
        add(place, "rows", math.log10(case.rows_per_class / 30), gains.OF_ROWS)
        add(place, ("strategy", case.strategy), 1.0, gains.OF_STRATEGY)
        add(place, ("weights", case.weights), 1.0, gains.OF_WEIGHTS)
        add(place, ("network", case.network), 1.0, gains.OF_NETWORK)
        add(place, ("pair", case.task, case.network), 1.0, gains.OF_PAIR)
    return np.array(list(columns.values())).T, np.array(list(variances.values()))


def test_draws_have_the_mean_and_the_covariance() -> None:
    found = expected_gains(RUNS, [_case(place) for place in range(4)])
    drawn = found.draws(200_000, seed=0)
    torch.testing.assert_close(drawn.mean(0), found.mean, atol=4e-3, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), found.covariance, atol=4e-3, rtol=0)
    assert torch.equal(drawn, found.draws(200_000, seed=0))


def test_the_order_of_cases_changes_no_bit() -> None:
    cases = [_case(place) for place in range(4)]
    found, turned = expected_gains(RUNS, cases), expected_gains(RUNS, cases[::-1])
    assert torch.equal(found.mean, turned.mean.flip(0))
    assert torch.equal(found.draws(50, 3), turned.draws(50, 3).flip(1))


@pytest.mark.parametrize(("n_test", "n_right", "probe", "n_scored"), [(300, 240, 0.7, 200), (1000, 300, 0.35, 2000)])
def test_the_gain_and_its_variance_are_those_of_drawn_counts(
    n_test: int, n_right: int, probe: float, n_scored: int
) -> None:
    gain, variance = gain_of(Run(replace(CASE, probe=probe, n_scored=n_scored), n_test, n_right))
    draw = np.random.default_rng(0)
    tested = draw.binomial(n_test, n_right / n_test, 100_000) / n_test
    scored = draw.binomial(n_scored, probe, 100_000) / n_scored
    drawn = np.log(tested / (1 - tested)) - np.log(scored / (1 - scored))
    assert gain == pytest.approx(drawn.mean(), abs=0.01)
    assert variance == pytest.approx(drawn.var(), rel=0.05)


@pytest.mark.parametrize("n_right", [0, 20])
def test_models_without_a_mistake_or_a_hit_have_a_finite_gain(n_right: int) -> None:
    gain, variance = gain_of(Run(replace(CASE, probe=n_right / 20), 20, n_right))
    assert math.isfinite(gain)
    assert 1 < variance < 5


def test_before_any_run_nothing_is_expected_of_anybody() -> None:
    cases = [_case(place) for place in range(3)]
    found = expected_gains([], cases)
    assert found.mean.tolist() == [0.0, 0.0, 0.0]
    assert (found.covariance.diag() > gains.OF_ALL**2).all()


def test_what_gained_is_expected_to_gain_again_and_others_a_little() -> None:
    gained = [Run(replace(CASE, task=task), 200, 190) for task in ("digits", "scans")]
    cases = [
        CASE,
        replace(CASE, network="net?s@a"),
        replace(CASE, network="wide@b", weights="b"),
        replace(CASE, network="wide@b", weights="b", strategy="full"),
    ]
    means = expected_gains(gained, cases).mean.tolist()
    assert means == sorted(means, reverse=True)
    assert means[-1] > 0
    assert len(set(means)) == 4


def test_a_weak_probe_leaves_more_to_gain_once_that_was_seen() -> None:
    seen = [
        Run(Case(f"task {place}", f"net {place}", str(place), "staged", probe, 500, 30.0), 1000, n_right)
        for place, (probe, n_right) in enumerate([(0.3, 450), (0.35, 520), (0.9, 890), (0.92, 900)])
    ]
    weak, strong = (replace(CASE, network=name, weights=name, probe=probe) for name, probe in (("x", 0.3), ("y", 0.9)))
    found = expected_gains(seen, [weak, strong])
    assert found.mean[0] > found.mean[1]


def test_more_rows_are_trusted_more() -> None:
    few, many = (
        expected_gains([Run(replace(CASE, task="digits", n_scored=n), n, round(0.9 * n))], [CASE]) for n in (20, 2000)
    )
    assert many.mean[0] > few.mean[0] > 0
    assert many.covariance[0, 0] < few.covariance[0, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 59), min_size=1, max_size=12), st.lists(st.integers(0, 59), min_size=1, max_size=6))
def test_runs_only_ever_add_to_what_is_known(seen: list[int], asked: list[int]) -> None:
    cases = [_case(place) for place in asked]
    runs = [Run(_case(place), 50, place % 51) for place in seen]
    found, blank = expected_gains(runs, cases), expected_gains([], cases)
    assert float(torch.linalg.eigvalsh(blank.covariance - found.covariance).min()) > -1e-9
    assert float(torch.linalg.eigvalsh(found.covariance).min()) > -1e-9
    shuffled = expected_gains(runs[::-1], cases)
    torch.testing.assert_close(found.mean, shuffled.mean)


@pytest.mark.parametrize("counts", [(0, 0), (10, 11), (10, -1)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="are no run; leave it out"):
        gain_of(Run(CASE, *counts))


def test_there_must_be_a_case() -> None:
    with pytest.raises(UserError, match="name a candidate"):
        expected_gains(RUNS, [])
