"""The gate: equal models pass seldom, a worse one never, a clearly better one nearly always, and reasons are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.promotion import any_promoted, promotes, share, simulated
from transfer.evaluation.promotion import (
    ASK,
    BY_HAND,
    INFERIOR,
    NON_INFERIOR,
    PROMOTE,
    REFUSE,
    SUPERIOR,
    UNPROVEN,
    Criteria,
    Measured,
    Paired,
    Policy,
    again,
    against,
    broken,
    compared,
    first,
    incomparable,
    plain,
)
from transfer.metrics.intervals import wilson_interval
from transfer.records import Interval

WORST = Interval(0.8, 0.6, 0.9)
GOOD = Measured(Interval(0.9, 0.87, 0.92), "positive", 10.0, WORST, ece=0.02, latency_p95_ms=5.0)
EQUAL, WORSE, BETTER = Paired(20, 20, 2000), Paired(10, 40, 500), Paired(40, 10, 500)


@pytest.mark.parametrize("n_rows", [100, 320, 500, 2000])
def test_of_200_equal_challengers_at_most_one_in_twenty_is_promoted(n_rows: int) -> None:
    assert share(0.0, n_rows, runs=200, seed=n_rows) <= 0.05


@pytest.mark.parametrize("needs", [SUPERIOR, NON_INFERIOR, BY_HAND])
def test_of_200_challengers_worse_by_3_points_none_is_promoted(needs: str) -> None:
    assert share(-0.03, 500, runs=200, seed=1, policy=Policy(needs)) == 0


@pytest.mark.parametrize(("gain", "most"), [(-0.03, 0.005), (-0.01, 0.035)])
def test_a_smaller_challenger_that_is_worse_by_more_than_the_margin_is_seldom_promoted(
    gain: float, most: float
) -> None:
    policy = Policy(NON_INFERIOR, margin=0.01)
    assert share(gain, 500, runs=2000, seed=1, policy=policy, smaller=True) <= most


def test_of_200_challengers_better_by_5_points_nine_in_ten_are_promoted() -> None:
    assert share(0.05, 500, runs=200, seed=2) >= 0.9


def test_of_many_equal_challengers_one_is_seldom_promoted_where_each_is_counted() -> None:
    counted, alone = any_promoted(20, 500, runs=200, seed=4), any_promoted(20, 500, runs=200, seed=4, counted=False)
    assert counted <= 0.12 < alone


def test_equal_models_are_not_promoted_for_being_non_inferior() -> None:
    assert share(0.0, 2000, runs=200, seed=3, policy=Policy(NON_INFERIOR)) <= 0.05


def test_the_simulation_draws_models_of_the_accuracy_it_says_with_errors_in_common() -> None:
    import numpy as np

    paired, n_right = simulated(np.random.default_rng(0), 0.9, 0.05, 200_000)
    assert n_right / paired.n_rows == pytest.approx(0.95, abs=0.002)
    assert (paired.only_challenger - paired.only_champion) / paired.n_rows == pytest.approx(0.05, abs=0.002)
    alone = 0.95 * 0.1 + 0.05 * 0.9
    assert (paired.only_challenger + paired.only_champion) / paired.n_rows < 0.75 * alone


@pytest.mark.parametrize(
    ("paired", "relation"),
    [
        (BETTER, SUPERIOR),
        (WORSE, INFERIOR),
        (EQUAL, NON_INFERIOR),
        (Paired(3, 3, 60), UNPROVEN),
        (Paired(0, 0, 1), UNPROVEN),
        (Paired(6, 0, 6), SUPERIOR),
        (Paired(5, 0, 50), NON_INFERIOR),
    ],
)
def test_how_a_challenger_stands(paired: Paired, relation: str) -> None:
    standing = compared(paired, Policy())
    assert standing.relation == relation
    assert standing.gain.value == (paired.only_challenger - paired.only_champion) / paired.n_rows
    assert f"on {paired.n_rows} test images" in standing.sentence


@pytest.mark.parametrize(
    ("paired", "needs", "smaller", "outcome", "words"),
    [
        (BETTER, SUPERIOR, False, PROMOTE, "Promoted as superior: +6.0 points"),
        (BETTER, NON_INFERIOR, False, PROMOTE, "Promoted as superior"),
        (BETTER, BY_HAND, True, ASK, "superior, but promotion is by hand"),
        (EQUAL, SUPERIOR, True, ASK, "at most 1 point worse than the champion, but not shown to be better"),
        (EQUAL, NON_INFERIOR, False, ASK, "not smaller by a tenth"),
        (EQUAL, NON_INFERIOR, True, PROMOTE, "Promoted as non-inferior, and smaller"),
        (Paired(3, 3, 60), NON_INFERIOR, True, REFUSE, "neither shown to be better nor to be at most 1 point worse"),
        (WORSE, NON_INFERIOR, True, REFUSE, "the champion is better"),
        (WORSE, BY_HAND, True, REFUSE, "the champion is better"),
    ],
)
def test_what_a_policy_makes_of_it(paired: Paired, needs: str, smaller: bool, outcome: str, words: str) -> None:
    policy = Policy(needs)
    decision = against((), compared(paired, policy), policy, smaller)
    assert decision.outcome == outcome
    assert words in decision.sentence
    assert bool(decision.reasons) == (outcome != PROMOTE)


def test_a_model_that_is_surely_worse_is_not_promoted_for_being_within_a_wide_margin() -> None:
    policy = Policy(NON_INFERIOR, margin=0.2)
    standing = compared(WORSE, policy)
    assert standing.p_noninferior < 0.05
    assert against((), standing, policy, smaller=True).outcome == REFUSE


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        (Criteria(min_accuracy=0.88), "the lower bound of accuracy is 0.870, below 0.88"),
        (Criteria(max_ece=0.01), "the calibration error is above 0.01"),
        (Criteria(max_size_mb=9), "the size is above 9 MB"),
        (Criteria(max_latency_p95_ms=4.5), "the 95th percentile of latency is above 4.5 ms"),
    ],
)
def test_a_broken_criterion_refuses_the_best_model(criteria: Criteria, words: str) -> None:
    failed = broken(GOOD, criteria)
    assert failed == (words,)
    assert words in against(failed, compared(BETTER, Policy()), Policy(), smaller=True).sentence
    for decision in (
        first(failed, Policy()),
        against(failed, compared(BETTER, Policy()), Policy(), smaller=True),
        incomparable(failed, "the champion knows other classes"),
    ):
        assert decision.outcome == REFUSE
        assert words in decision.reasons


def test_figures_at_their_limit_keep_it_and_one_that_was_not_measured_does_not() -> None:
    limits = Criteria(min_accuracy=0.87, min_worst_slice=0.6, max_ece=0.02, max_size_mb=10.0, max_latency_p95_ms=5.0)
    assert broken(GOOD, limits) == ()
    beyond = Criteria(min_worst_slice=0.601)
    assert broken(GOOD, beyond) == ("the lower bound of accuracy on the worst slice is 0.600, below 0.601",)
    blank = Measured(GOOD.accuracy, "inconclusive", 10.0)
    assert broken(blank, Criteria(min_worst_slice=0.0, max_ece=1.0, max_latency_p95_ms=9.0)) == (
        "the worst slice is not known, since no slice has enough test images",
        "the calibration error was not measured",
        "the 95th percentile of latency was not measured",
    )


@pytest.mark.parametrize(
    ("verdict", "n_reasons"), [("positive", 0), ("neutral", 0), ("inconclusive", 0), ("negative", 1)]
)
def test_only_a_negative_verdict_refuses(verdict: str, n_reasons: int) -> None:
    assert len(broken(Measured(GOOD.accuracy, verdict, 1.0), Criteria())) == n_reasons


def test_the_first_model_needs_no_comparison() -> None:
    assert first((), Policy()).outcome == PROMOTE
    assert first((), Policy(BY_HAND)).outcome == ASK


def test_the_champions_own_model_takes_its_place_where_it_keeps_the_criteria() -> None:
    assert again((), Policy()).outcome == PROMOTE
    assert again((), Policy(BY_HAND)).outcome == ASK
    assert again(("the size is above 9 MB",), Policy()).outcome == REFUSE


def test_a_champion_that_cannot_be_compared_with_leaves_it_to_a_person() -> None:
    decision = incomparable((), "the champion knows other classes (ant)")
    assert (decision.outcome, decision.reasons) == (ASK, ("the champion knows other classes (ant)",))


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 500), st.sampled_from([0.9, 0.95, 0.99]))
def test_one_of_two_is_promoted_at_most_and_never_the_one_with_fewer_right(
    challenger: int, champion: int, both: int, confidence: float
) -> None:
    policy, n_rows = Policy(NON_INFERIOR, confidence), challenger + champion + both
    forth = promotes(Paired(challenger, champion, n_rows), n_rows, policy)
    back = promotes(Paired(champion, challenger, n_rows), n_rows, policy)
    assert not (forth and back)
    assert not (forth and challenger <= champion)


def test_what_is_kept_of_a_decision_is_plain() -> None:
    standing = compared(BETTER, Policy())
    kept = plain(against((), standing, Policy(), smaller=False), standing, BETTER)
    assert kept["outcome"] == PROMOTE
    assert (kept["only_challenger"], kept["only_champion"], kept["n_rows"]) == (40, 10, 500)
    assert (kept["gain"], kept["relation"]) == (0.06, SUPERIOR)
    assert "gain" not in plain(first((), Policy()))


def test_accuracies_of_the_simulation_are_intervals_that_the_gate_reads() -> None:
    measured = Measured(wilson_interval(450, 500, 0.95), "inconclusive", 1.0)
    assert broken(measured, Criteria(min_accuracy=0.86)) == ()
