"""Verdicts: claimed only where the paired interval excludes zero, against the more accurate reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transfer.errors import UserError
from transfer.evaluation.comparison import (
    CAVEAT,
    FEWEST,
    Comparison,
    Groups,
    balanced_accuracy,
    balanced_gain,
    by_class,
    compare,
    together,
)
from transfer.evaluation.verdict import INCONCLUSIVE, NEGATIVE, NEUTRAL, POSITIVE, judge
from transfer.metrics.bootstrap import resamples
from transfer.metrics.intervals import mean_of_strata, wilson_interval

ACTUAL = np.zeros(100, dtype=np.int64)


def _with_right(rows: range) -> np.ndarray:
    """Return predictions that are right on exactly these rows."""
    predicted = np.ones(len(ACTUAL), dtype=np.int64)
    predicted[list(rows)] = 0
    return predicted


def test_a_comparison_counts_the_rows_that_only_one_got_right() -> None:
    comparison = compare(ACTUAL, _with_right(range(90)), "scratch", _with_right(range(5, 75)), 0.95)
    assert comparison.accuracy.value == 0.7
    assert comparison.gain.value == pytest.approx(0.2)
    assert comparison.p_value == pytest.approx(stats.binomtest(0, 20).pvalue)


@pytest.mark.parametrize(
    ("n_model", "helped", "claim"),
    [
        (95, True, "Transfer helped: "),
        (40, False, "Transfer hurt: "),
        (71, None, "Whether transfer helped cannot be told"),
    ],
)
def test_the_claim_follows_the_interval(n_model: int, helped: bool | None, claim: str) -> None:
    comparison = compare(ACTUAL, _with_right(range(n_model)), "scratch", _with_right(range(70)), 0.95)
    verdict = judge({"scratch": comparison}, 0.95)
    assert verdict.transfer_helped is helped
    assert verdict.verdict == {True: POSITIVE, False: NEGATIVE, None: INCONCLUSIVE}[helped]
    assert verdict.sentence.startswith(claim)
    assert verdict.sentence.endswith(f"over scratch ({CAVEAT}).")


def test_an_interval_without_zero_claims_nothing_that_the_exact_test_does_not() -> None:
    at_95, at_90 = (
        compare(ACTUAL, _with_right(range(75)), "scratch", _with_right(range(70)), confidence)
        for confidence in (0.95, 0.9)
    )
    assert at_95.gain.low > 0
    assert at_95.p_value == pytest.approx(stats.binomtest(0, 5).pvalue) == pytest.approx(0.0625)
    assert (at_95.better, judge({"scratch": at_95}, 0.95).transfer_helped) == (None, None)
    assert (at_90.better, judge({"scratch": at_90}, 0.9).transfer_helped) == (True, True)


@pytest.mark.parametrize("n_model", [95, 71, 40])
def test_nothing_is_claimed_of_transfer_where_random_weights_won(n_model: int) -> None:
    comparison = compare(ACTUAL, _with_right(range(n_model)), "scratch", _with_right(range(70)), 0.95)
    verdict = judge({"scratch": comparison}, 0.95, pretrained=False)
    assert verdict.transfer_helped is None
    simpler = ", and a simpler one is better" if n_model == 40 else ""
    assert verdict.sentence.startswith(f"The model began with random weights, so nothing was transferred{simpler}: ")
    assert verdict.verdict == ("negative" if simpler else "inconclusive")
    assert verdict.reasons == judge({"scratch": comparison}, 0.95).reasons


def test_the_better_reference_decides() -> None:
    model = _with_right(range(80))
    comparisons = {
        "scratch": compare(ACTUAL, model, "scratch", _with_right(range(30)), 0.95),
        "random_frozen": compare(ACTUAL, model, "random_frozen", _with_right(range(79)), 0.95),
    }
    verdict = judge(comparisons, 0.95)
    assert (verdict.transfer_helped, verdict.against) == (None, "random_frozen")
    assert [reason.rpartition(" over ")[2] for reason in verdict.reasons] == ["scratch", "random_frozen"]


def test_of_equal_references_the_harder_to_tell_from_decides() -> None:
    model = _with_right(range(60))
    near = compare(ACTUAL, model, "near", _with_right(range(50)), 0.95)
    far = compare(ACTUAL, model, "far", _with_right(range(45, 95)), 0.95)
    assert near.accuracy == far.accuracy
    assert near.gain.low > far.gain.low
    assert judge({"near": near, "far": far}, 0.95).against == judge({"far": far, "near": near}, 0.95).against == "far"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.floats(0.5, 0.999))
def test_swapping_model_and_reference_swaps_the_verdict(rights: list[tuple[bool, bool]], confidence: float) -> None:
    actual = np.zeros(len(rights), dtype=np.int64)
    one, other = (np.array([not pair[place] for pair in rights], dtype=np.int64) for place in (0, 1))
    forth = judge({"other": compare(actual, one, "other", other, confidence)}, confidence).transfer_helped
    back = judge({"one": compare(actual, other, "one", one, confidence)}, confidence).transfer_helped
    assert back is (None if forth is None else not forth)


def test_no_reference_is_refused() -> None:
    with pytest.raises(UserError, match="There is no reference to compare with"):
        judge({}, 0.95)


def _compared(n_model: int, confidence: float = 0.95, **references: int) -> dict[str, Comparison]:
    model = _with_right(range(n_model))
    found = {
        name: compare(ACTUAL, model, name, _with_right(range(n_right)), confidence)
        for name, n_right in references.items()
    }
    return together(found, confidence)


def test_claims_about_several_references_hold_together() -> None:
    alone, both = _compared(80, scratch=74), _compared(80, scratch=74, random_frozen=73)
    assert alone["scratch"].p_value == pytest.approx(2 / 2**6)
    assert alone["scratch"].better is True
    assert both["random_frozen"].p_adjusted == pytest.approx(2 * 2 / 2**7)
    assert both["scratch"].p_adjusted == pytest.approx(2 / 2**6)
    three = _compared(80, scratch=74, random_frozen=74, third=74)
    assert [one.better for one in three.values()] == [None] * 3
    assert [one.p_adjusted for one in three.values()] == pytest.approx([3 * 2 / 2**6] * 3)


def test_it_helped_only_where_it_beat_every_reference_and_hurt_where_any_beat_it() -> None:
    assert judge(_compared(90, scratch=40, random_frozen=70), 0.95).verdict == POSITIVE
    assert judge(_compared(71, scratch=40, random_frozen=70), 0.95).verdict == INCONCLUSIVE
    verdict = judge(_compared(40, scratch=30, random_frozen=70), 0.95)
    assert (verdict.verdict, verdict.against, verdict.transfer_helped) == (NEGATIVE, "random_frozen", False)


def test_a_better_model_is_no_proof_where_there_is_a_reason_to_doubt_it() -> None:
    better, worse = _compared(90, scratch=40), _compared(40, scratch=90)
    verdict = judge(better, 0.95, doubt="it was starved")
    assert (verdict.verdict, verdict.transfer_helped) == (INCONCLUSIVE, None)
    assert verdict.sentence.startswith(
        "The model is better, but that transfer helped cannot be told, since it was starved:"
    )
    assert judge(worse, 0.95, doubt="it was starved") == judge(worse, 0.95)


def test_neutral_is_claimed_only_where_the_gain_is_surely_within_the_margin() -> None:
    compared = _compared(70, scratch=70)
    assert compared["scratch"].narrow.high == pytest.approx(stats.norm.ppf(0.95) / 102, abs=1e-4)
    assert judge(compared, 0.95, margin=0.02).verdict == NEUTRAL
    assert judge(compared, 0.95, margin=0.02).transfer_helped is None
    assert "no difference beyond 2 points" in judge(compared, 0.95, margin=0.02).sentence
    assert judge(compared, 0.95, margin=0.01).verdict == INCONCLUSIVE
    assert judge(compared, 0.95).verdict == INCONCLUSIVE


def test_a_sure_difference_within_the_margin_does_not_matter() -> None:
    assert judge(_compared(70, scratch=80), 0.95, margin=0.3).verdict == NEUTRAL
    assert judge(_compared(70, scratch=80), 0.95, margin=0.05).verdict == NEGATIVE


@pytest.mark.parametrize(("truth", "at_most"), [(0.0, 0.05), (-0.02, 0.05)])
def test_models_that_are_alike_are_rarely_told_apart_and_models_at_the_margin_rarely_called_alike(
    truth: float, at_most: float
) -> None:
    draw, wrong, n_rows = np.random.default_rng(0), 0, 400
    actual = np.zeros(n_rows, dtype=np.int64)
    for _ in range(400):
        cells = draw.choice(3, n_rows, p=[0.1 + truth / 2, 0.1 - truth / 2, 0.8])  # the model alone, the other, both
        one, other = (cells == 1).astype(np.int64), (cells == 0).astype(np.int64)
        found = judge(together({"other": compare(actual, one, "other", other, 0.95)}, 0.95), 0.95, margin=0.02).verdict
        wrong += found in ((POSITIVE, NEGATIVE) if truth == 0 else (NEUTRAL, POSITIVE))
    assert wrong / 400 <= at_most + 2 * (at_most * (1 - at_most) / 400) ** 0.5


def test_classes_are_claimed_together_and_small_ones_not_at_all() -> None:
    actual = np.repeat([0, 1, 2], [40, 40, FEWEST - 1])
    model, other = actual.copy(), actual.copy()
    other[:12] = 1  # of class 0 the other model finds less
    other[80:] = 0  # of class 2 nothing, but there are too few
    (first, second, third) = by_class(actual, model, other, 0.95)
    assert [label for label, _, _ in (first, second, third)] == [0, 1, 2]
    assert (first[2].better, second[2].better, third[2].better) == (True, None, None)
    assert first[2].p_adjusted == pytest.approx(2 * 2 / 2**12)
    assert (third[1], third[2].gain.value) == (FEWEST - 1, 1.0)


def test_rows_of_a_group_do_not_count_as_many() -> None:
    draw = np.random.default_rng(0)
    places = np.repeat(np.arange(40), 5)
    actual = np.zeros(200, dtype=np.int64)
    model, other = (np.repeat(draw.random(40) < share, 5).astype(np.int64) for share in (0.1, 0.25))
    groups = Groups(places, resamples(200, 1000, 0, places))
    each, together_ = (compare(actual, model, "other", other, 0.95, of) for of in (None, groups))
    assert together_.gain.value == each.gain.value
    assert (together_.gain.high - together_.gain.low) / (each.gain.high - each.gain.low) == pytest.approx(
        5**0.5, rel=0.15
    )
    per_group = compare(actual[::5], model[::5], "other", other[::5], 0.95)
    assert together_.p_value == pytest.approx(per_group.p_value)
    assert each.p_value < 0.05 * together_.p_value


def test_a_class_is_claimed_of_no_more_than_its_groups_allow() -> None:
    places = np.repeat(np.arange(12), 10)
    actual = np.repeat([0, 1], 60)
    model, other = actual.copy(), actual.copy()
    other[:20], other[60:65] = 1, 0  # of class 0 two groups, 20 rows, differ; of class 1 half a group
    groups = Groups(places, resamples(120, 500, 0, places))
    (each, _), (first, second) = (by_class(actual, model, other, 0.95, of) for of in (None, groups))
    assert each[2].better is True
    assert (first[2].better, second[2].better) == (None, None)
    assert (first[2].p_value, second[2].p_value) == pytest.approx((2 / 2**2, 1.0))  # flips of groups that differ
    assert first[2].gain.high - first[2].gain.low > 1.5 * (each[2].gain.high - each[2].gain.low)


def test_a_class_that_resamples_of_groups_lack_has_an_interval() -> None:
    places = np.array([0, 0, 1, 1, *range(2, 40)])
    actual = np.repeat([0, 1], [4, 38])
    other = actual.copy()
    other[:2] = 1
    (rare, _) = by_class(actual, actual, other, 0.95, Groups(places, resamples(42, 200, 0, places)))
    assert (rare[2].gain.value, rare[2].better) == (0.5, None)
    assert (rare[2].gain.low, rare[2].gain.high) == pytest.approx((0.0, 1.0), abs=0.2)


def test_balanced_figures_are_means_over_classes() -> None:
    actual = np.repeat([0, 1], [90, 10])
    model, other = actual.copy(), actual.copy()
    model[:9], other[95:] = 1, 0
    rows = resamples(100, 1000, 0)
    found, gain = balanced_accuracy(actual, model, 0.95, rows), balanced_gain(actual, model, other, 0.95, rows)
    assert (found.value, gain.value) == pytest.approx((0.95, 0.95 - 0.75))
    assert found.low < found.value < found.high < 1
    assert gain.low < gain.value < gain.high


def test_balanced_accuracy_without_a_mistake_keeps_the_doubt_of_its_classes() -> None:
    actual = np.repeat([0, 1], [90, 10])
    found = balanced_accuracy(actual, actual, 0.95, resamples(100, 200, 0))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == mean_of_strata([wilson_interval(90, 90, 0.95), wilson_interval(10, 10, 0.95)]).low


@pytest.mark.parametrize("n_rare", [2, 5])
def test_balanced_figures_hold_the_truth_where_classes_are_rare(n_rare: int) -> None:
    """The true recall of every class is 0.9 for both models, so that their true balanced gain is 0."""
    draw, held, told = np.random.default_rng(0), 0, 0
    actual = np.repeat([0, 1, 2], [200, n_rare, n_rare])
    for seed in range(100):
        rows = resamples(len(actual), 100, seed)
        model, other = (np.where(draw.random(len(actual)) < 0.9, actual, (actual + 1) % 3) for _ in range(2))
        found, gain = balanced_accuracy(actual, model, 0.95, rows), balanced_gain(actual, model, other, 0.95, rows)
        held += found.low <= 0.9 <= found.high
        told += not gain.low <= 0 <= gain.high
    assert held > 85  # of 100; the bootstrap alone held 38 and 53
    assert told <= 10  # the bootstrap alone told 13 and 22 apart
