"""Figures of rows that count several times: scikit-learn's with sample weights, and those of rows written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from transfer.metrics import classification, counted
from transfer.metrics.classification import losses

Drawn = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
SAME = {"rel": 1e-12, "abs": 1e-12}
CASES = st.tuples(st.integers(0, 10_000), st.integers(2, 6), st.integers(12, 60))


def _drawn(seed: int, n_classes: int, n_rows: int, decimals: int = 2) -> Drawn:
    """Return labels that hold every class, rounded probabilities with ties, and how often rows count, (N, 3)."""
    draw = np.random.default_rng(seed)
    actual = draw.permutation(np.arange(n_rows, dtype=np.int64) % n_classes)
    powers = np.exp(draw.normal(size=(n_rows, n_classes)) + 1.5 * np.eye(n_classes)[actual])
    probabilities = (powers / powers.sum(axis=1, keepdims=True)).round(decimals) + 1e-3
    counts = draw.integers(0, 4, (n_rows, 3)).astype(np.float64)
    for label in range(n_classes):
        counts[np.flatnonzero(actual == label)[0]] += 1  # every class is in every resample
    return actual, probabilities / probabilities.sum(axis=1, keepdims=True), counts


@settings(max_examples=6)
@given(CASES)
def test_figures_are_scikit_learns_with_sample_weights(case: tuple[int, int, int]) -> None:
    actual, probabilities, counts = _drawn(*case)
    predicted, n_classes = probabilities.argmax(axis=1), case[1]
    labels, wanted = list(range(n_classes)), np.eye(n_classes)[actual]
    figures = {
        "nll": counted.mean_of(losses(actual, probabilities)),
        "brier": counted.mean_of(counted.squared_errors(actual, probabilities)),
        "recall": counted.means_by_class((actual == predicted).astype(float), actual),
        "balanced": counted.over_classes(counted.means_by_class((actual == predicted).astype(float), actual)),
        "f1": counted.over_classes(counted.f1_scores(actual, predicted, n_classes)),
        "auroc": counted.aurocs(actual, probabilities),
    }
    found = {name: figure(counts) for name, figure in figures.items()}
    for place, weights in enumerate(counts.T):
        plain = {"y_true": actual, "sample_weight": weights}
        loss = sklearn_metrics.log_loss(actual, probabilities, labels=labels, sample_weight=weights)
        assert found["nll"][place] == pytest.approx(loss, **SAME)
        brier = sklearn_metrics.brier_score_loss(y_proba=probabilities, labels=labels, scale_by_half=False, **plain)
        assert found["brier"][place] == pytest.approx(brier, **SAME)
        recall = sklearn_metrics.recall_score(y_pred=predicted, labels=labels, average=None, **plain)
        assert found["recall"][:, place] == pytest.approx(recall, **SAME)
        balanced = sklearn_metrics.balanced_accuracy_score(y_pred=predicted, **plain)
        assert found["balanced"][place] == pytest.approx(balanced, **SAME)
        f1 = sklearn_metrics.f1_score(y_pred=predicted, labels=labels, average="macro", zero_division=0.0, **plain)
        assert found["f1"][place] == pytest.approx(f1, **SAME)
        areas = [
            sklearn_metrics.roc_auc_score(wanted[:, k], probabilities[:, k], sample_weight=weights) for k in labels
        ]
        assert found["auroc"][:, place] == pytest.approx(areas, **SAME)


def test_the_area_of_two_classes_or_more_is_scikit_learns_macro_average() -> None:
    actual, probabilities, _ = _drawn(0, 5, 60)
    expected = sklearn_metrics.roc_auc_score(actual, probabilities, multi_class="ovr", average="macro")
    found = counted.over_classes(counted.aurocs(actual, probabilities))(np.ones((60, 1)))
    assert found[0] == pytest.approx(expected, **SAME)


@settings(max_examples=20)
@given(CASES, st.integers(1, 20))
def test_the_calibration_error_is_that_of_rows_written_out(case: tuple[int, int, int], n_bins: int) -> None:
    actual, probabilities, counts = _drawn(*case)
    found = counted.calibration_error(actual, probabilities, n_bins)(counts)
    for place, weights in enumerate(counts.T):
        rows = np.repeat(np.arange(len(actual)), weights.astype(int))
        expected = classification.expected_calibration_error(actual[rows], probabilities[rows], n_bins)
        assert found[place] == pytest.approx(expected, **SAME)


def _area_by_hand(wrong: NDArray[np.bool_], confidence: NDArray[np.float64], draw: np.random.Generator) -> float:
    """Return the mean over coverages of the share of mistakes among the most confident rows, ties in any order."""
    order = np.lexsort((draw.random(len(wrong)), -confidence))
    return float((np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)).mean())


@settings(max_examples=20)
@given(CASES)
def test_the_area_under_risk_and_coverage_is_that_of_rows_written_out(case: tuple[int, int, int]) -> None:
    actual, probabilities, counts = _drawn(*case, decimals=9)
    wrong, confidence = probabilities.argmax(axis=1) != actual, probabilities.max(axis=1)
    found = counted.risk_area(wrong, confidence)(counts)
    draw = np.random.default_rng(0)
    for place, weights in enumerate(counts.T):
        rows = np.repeat(np.arange(len(actual)), weights.astype(int))
        orders = [_area_by_hand(wrong[rows], confidence[rows], draw) for _ in range(5)]
        assert found[place] == pytest.approx(orders[0], **SAME)  # equal rows are equally wrong: any order is the same
        assert orders == pytest.approx([orders[0]] * 5, **SAME)


def test_rows_of_one_confidence_have_the_expected_area_of_a_random_order() -> None:
    draw = np.random.default_rng(1)
    wrong, confidence = draw.random(30) < 0.3, draw.integers(0, 3, 30) / 3
    (found,) = counted.risk_area(wrong, confidence)(np.ones((30, 1)))
    orders = [_area_by_hand(wrong, confidence, draw) for _ in range(4000)]
    assert found == pytest.approx(np.mean(orders), abs=4 * np.std(orders) / 4000**0.5)
    assert counted.risk_area(wrong, np.zeros(30))(np.ones((30, 1)))[0] == pytest.approx(wrong.mean())


def test_a_class_that_a_resample_lacks_has_no_figure_and_does_not_count() -> None:
    actual, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    counts = np.array([[1.0], [1.0], [1.0], [0.0]])
    recalls = counted.means_by_class((actual == predicted).astype(float), actual)
    for figure in (recalls, counted.f1_scores(actual, predicted, 3)):
        values = figure(counts)[:, 0]
        assert np.isnan(values[2])
        assert counted.over_classes(figure)(counts)[0] == pytest.approx(values[:2].mean())


def test_the_area_of_a_class_that_is_absent_or_alone_is_not_a_number() -> None:
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6]])
    areas = counted.aurocs(np.array([0, 1]), probabilities)(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]))
    assert areas[:, 0].tolist() == [1.0, 1.0]
    assert np.isnan(areas[:, 1:]).all()


def test_parts_of_columns_give_what_all_of_them_give(monkeypatch: pytest.MonkeyPatch) -> None:
    actual, probabilities, counts = _drawn(3, 4, 40)
    figure = counted.aurocs(actual, probabilities)
    monkeypatch.setattr(counted, "_MOST_AT_ONCE", 50)
    assert (counted.in_parts(figure, counts) == figure(counts)).all()
