"""Verdicts: claimed only where the paired interval excludes zero, against the more accurate reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transfer.errors import UserError
from transfer.evaluation.comparison import CAVEAT, compare, judge

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
    assert verdict.sentence.startswith("The model began with random weights, so nothing was transferred: ")
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
