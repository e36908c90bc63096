"""Metrics of predictions, against scikit-learn and by their invariants; what cannot be computed is an error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from transfer.errors import UserError
from transfer.metrics import classification as metrics


def _drawn(seed: int, n_rows: int, n_classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels that hold every class, and probabilities that lean towards them."""
    draw = np.random.default_rng(seed)
    actual = draw.permutation(np.arange(n_rows, dtype=np.int64) % n_classes)
    scores = draw.normal(size=(n_rows, n_classes)) + 1.5 * np.eye(n_classes)[actual]
    powers = np.exp(scores)
    return actual, powers / powers.sum(axis=1, keepdims=True)


CASES = st.integers(2, 7).flatmap(lambda c: st.tuples(st.integers(0, 10_000), st.integers(c, 80), st.just(c)))


@settings(max_examples=20)
@given(CASES)
def test_figures_are_scikit_learns(case: tuple[int, int, int]) -> None:
    actual, probabilities = _drawn(*case)
    predicted, n_classes = probabilities.argmax(axis=1), case[2]
    confusion = metrics.confusion_matrix(actual, predicted, n_classes)
    labels = list(range(n_classes))
    assert metrics.accuracy(actual, predicted) == pytest.approx(sklearn_metrics.accuracy_score(actual, predicted))
    assert (confusion == sklearn_metrics.confusion_matrix(actual, predicted, labels=labels)).all()
    assert metrics.macro_f1(confusion) == pytest.approx(
        sklearn_metrics.f1_score(actual, predicted, labels=labels, average="macro", zero_division=0.0)
    )
    assert metrics.negative_log_likelihood(actual, probabilities) == pytest.approx(
        sklearn_metrics.log_loss(actual, probabilities, labels=labels)
    )


@settings(max_examples=20)
@given(CASES)
def test_classes_are_scikit_learns(case: tuple[int, int, int]) -> None:
    actual, probabilities = _drawn(*case)
    predicted, labels = probabilities.argmax(axis=1), list(range(case[2]))
    expected = sklearn_metrics.precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0.0)
    found = metrics.class_metrics(metrics.confusion_matrix(actual, predicted, case[2]))
    for one, precision, recall, f1, support in zip(found, *expected, strict=True):
        assert (one.precision or 0.0, one.recall, one.f1, one.support) == pytest.approx(
            (precision, recall, f1, support)
        )
        assert one.n_found == round(recall * support)


def test_the_precision_of_a_class_that_was_never_predicted_is_not_a_number() -> None:
    confusion = metrics.confusion_matrix(np.array([0, 1]), np.array([0, 0]), 2)
    assert metrics.class_metrics(confusion)[1] == metrics.ClassMetrics(None, 0.0, 0.0, 1, 0)


def test_a_class_without_rows_is_refused() -> None:
    confusion = metrics.confusion_matrix(np.array([0, 1]), np.array([0, 2]), 3)
    with pytest.raises(UserError, match="Class 2 has no test row"):
        metrics.macro_f1(confusion)


def test_no_rows_and_unequal_rows_are_refused() -> None:
    nothing = np.array([], dtype=np.int64)
    with pytest.raises(UserError, match="0 labels and 0 predictions"):
        metrics.accuracy(nothing, nothing)
    with pytest.raises(UserError, match="2 labels and 1 predictions"):
        metrics.negative_log_likelihood(np.array([0, 1]), np.array([[0.5, 0.5]]))


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.6, 0.7, 0.8, 0.9])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    actual = np.array([1, 0, 0, 0])  # the two least certain: half right; the two most certain: all right
    assert metrics.expected_calibration_error(actual, probabilities, 2) == pytest.approx((0.15 + 0.15) / 2)


@given(CASES, st.integers(1, 20))
def test_calibration_error_is_bounded_and_does_not_depend_on_order(case: tuple[int, int, int], n_bins: int) -> None:
    actual, probabilities = _drawn(*case)
    error = metrics.expected_calibration_error(actual, probabilities, n_bins)
    turned = np.random.default_rng(1).permutation(len(actual))
    assert 0 <= error <= 1
    assert metrics.expected_calibration_error(actual[turned], probabilities[turned], n_bins) == pytest.approx(error)


def test_one_bin_is_the_gap_between_confidence_and_accuracy() -> None:
    actual, probabilities = _drawn(0, 50, 3)
    gap = abs(metrics.accuracy(actual, probabilities.argmax(axis=1)) - probabilities.max(axis=1).mean())
    assert metrics.expected_calibration_error(actual, probabilities, 1) == pytest.approx(gap)


def test_an_impossible_certainty_stays_finite() -> None:
    assert metrics.negative_log_likelihood(np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(-np.log(1e-15))
