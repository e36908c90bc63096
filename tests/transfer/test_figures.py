"""All figures of a classifier: as single functions give them, and honest where no row was mistaken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.errors import UserError
from transfer.evaluation.curves import reliability, risk_coverage
from transfer.evaluation.early import early_warnings
from transfer.evaluation.figures import Figures, figures
from transfer.metrics import classification, counted
from transfer.metrics.bootstrap import resamples
from transfer.metrics.calibration import calibration_interval
from transfer.metrics.intervals import independent_difference, wilson_interval
from transfer.records import Interval

World = tuple[np.ndarray, np.ndarray]


def _world(seed: int, n_rows: int, n_classes: int = 3, sharpness: float = 1.0) -> World:
    """Return labels that follow a softmax of scores, and the probabilities of a model of that sharpness."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(n_rows, n_classes)) * 2
    true, said = (np.exp(scale * scores) for scale in (1.0, sharpness))
    true, said = (powers / powers.sum(axis=1, keepdims=True) for powers in (true, said))
    labels = (true.cumsum(axis=1) < draw.random((n_rows, 1))).sum(axis=1).clip(0, n_classes - 1)
    return labels.astype(np.int64), said


def _figures(world: World, n_draws: int = 200) -> Figures:
    return figures(*world, 0.95, resamples(len(world[0]), n_draws, 0), 0)


def test_values_are_those_of_the_functions_of_each() -> None:
    actual, probabilities = _world(0, 120)
    found, predicted = _figures((actual, probabilities)), probabilities.argmax(axis=1)
    confusion = classification.confusion_matrix(actual, predicted, 3)
    assert found.macro_f1.value == pytest.approx(classification.macro_f1(confusion), rel=1e-12)
    assert found.nll.value == pytest.approx(classification.negative_log_likelihood(actual, probabilities), rel=1e-12)
    assert found.ece.value == pytest.approx(classification.expected_calibration_error(actual, probabilities), rel=1e-12)
    f1s = [one.f1 for one in classification.class_metrics(confusion)]
    assert [one.f1.value for one in found.of_classes] == pytest.approx(f1s)
    assert found.auroc.value == pytest.approx(np.mean([one.auroc.value for one in found.of_classes]))
    for name in ("macro_f1", "auroc", "nll", "brier", "ece", "aurc"):
        one = getattr(found, name)
        assert one.low < one.value < one.high, name


def test_a_model_without_a_mistake_is_not_sure_to_make_none() -> None:
    actual = np.repeat([0, 1], [150, 50])
    probabilities = np.full((200, 2), 0.02)
    probabilities[np.arange(200), actual] = 0.98
    found = _figures((actual, probabilities))
    most = wilson_interval(0, 200, 0.95).high
    assert (found.macro_f1.value, found.auroc.value, found.aurc.value) == (1.0, 1.0, 0.0)
    assert found.macro_f1.low < 0.98
    assert found.aurc.high == most
    assert found.auroc.low == pytest.approx(wilson_interval(50, 50, 0.95).low, abs=0.03)
    assert found.of_classes[1].f1.low == wilson_interval(50, 50, 0.95).low


def test_means_over_classes_hold_the_truth_where_classes_are_rare() -> None:
    draw, held = np.random.default_rng(0), dict.fromkeys(("macro_f1", "auroc", "f1 of a rare class", "its auroc"), 0)
    wanted = _means(_figures(_imbalanced(draw, 200), n_draws=1))
    for seed in range(100):
        actual, probabilities = _imbalanced(draw, 1)
        found = _means(figures(actual, probabilities, 0.95, resamples(len(actual), 50, seed), seed))
        for name, interval in found.items():
            held[name] += interval.low <= wanted[name].value <= interval.high
    assert min(held.values()) > 85, held  # of 100; the bootstrap alone held 82, 74, 100 and 80


def _imbalanced(draw: np.random.Generator, times: int) -> World:
    """Return 200, 2 and 2 rows of three classes, so many times, and what a model says that favours the first one."""
    actual = np.repeat([0, 1, 2], np.array([200, 2, 2]) * times)
    powers = np.exp(4.0 * (draw.normal(size=(len(actual), 3)) + 2.0 * np.eye(3)[actual] + [2.0, 0.0, 0.0]))
    return actual, powers / powers.sum(axis=1, keepdims=True)


def _means(found: Figures) -> dict[str, Interval]:
    rare = found.of_classes[1]
    return {"macro_f1": found.macro_f1, "auroc": found.auroc, "f1 of a rare class": rare.f1, "its auroc": rare.auroc}


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.integers(2, 3), st.integers(0, 5), st.sampled_from([0.5, 0.95, 0.999]))
def test_figures_are_numbers_in_their_intervals_however_few_rows(
    seed: int, n_classes: int, n_more: int, confidence: float
) -> None:
    draw = np.random.default_rng(seed)
    actual = np.concatenate((np.arange(n_classes), draw.integers(0, n_classes, n_more)))
    probabilities = draw.dirichlet(np.full(n_classes, draw.choice([0.05, 1.0, 1000.0])), len(actual))
    found = figures(actual, probabilities, confidence, resamples(len(actual), 100, seed), seed)
    for name in ("macro_f1", "auroc", "nll", "brier", "ece", "aurc"):
        one = getattr(found, name)
        assert np.isfinite([one.low, one.high]).all(), name
        assert one.low - 1e-12 <= one.value <= one.high + 1e-12, name


def test_a_class_without_rows_is_refused() -> None:
    with pytest.raises(UserError, match="Class 2 has no test row"):
        _figures((np.array([0, 1, 0, 1]), np.full((4, 3), 1 / 3)))


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_the_interval_of_the_calibration_error_holds_the_truth(sharpness: float) -> None:
    world = _world(99, 200_000, sharpness=sharpness)
    truth, held = classification.expected_calibration_error(*world), 0
    for seed in range(20):
        interval, _ = calibration_interval(*_world(seed, 300, sharpness=sharpness), 0.95, 200, seed)
        held += interval.low <= truth <= interval.high
    assert held >= 16  # of 20 an interval of 95 % holds fewer once in 400 times


def test_a_calibrated_model_is_rarely_called_uncalibrated_and_one_that_is_too_sure_is() -> None:
    alarms = 0
    for seed in range(20):
        interval, calm = calibration_interval(*_world(seed, 300), 0.95, 200, seed)
        alarms += interval.value > calm
    assert alarms <= 4
    interval, calm = calibration_interval(*_world(0, 300, sharpness=3.0), 0.95, 200, 0)
    assert interval.low > 0
    assert interval.value > calm


def test_bins_are_those_of_the_calibration_error() -> None:
    actual, probabilities = _world(1, 100)
    bins = reliability(actual, probabilities, 0.95)
    error = sum(one.n_rows * abs(one.accuracy.value - one.confidence) for one in bins) / 100
    assert error == pytest.approx(classification.expected_calibration_error(actual, probabilities))
    assert sum(one.n_rows for one in bins) == 100


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(2, 150))
def test_the_area_is_that_under_the_curve(seed: int, n_rows: int) -> None:
    actual, probabilities = _world(seed, n_rows)
    points = risk_coverage(actual, probabilities, 0.95)
    wrong, sure = probabilities.argmax(axis=1) != actual, probabilities.max(axis=1)
    assert points[-1].coverage == 1.0
    assert points[-1].risk.value == pytest.approx(wrong.mean())
    assert [one.coverage for one in points] == sorted(one.coverage for one in points)
    for point in points:
        answered = sure >= point.least
        assert (point.coverage, point.risk.value) == pytest.approx((answered.mean(), wrong[answered].mean()))
    if len(points) == n_rows:
        (area,) = counted.risk_area(wrong, sure)(np.ones((n_rows, 1)))
        assert area == pytest.approx(np.mean([point.risk.value for point in points]))


def test_warnings_name_what_the_features_are_not_surely_better_than() -> None:
    winner, weak, level = ({"ridge_loo_accuracy": a, "n_rows": 400} for a in (0.9, 0.6, 0.88))
    assert early_warnings(winner, weak, [weak], None, 0.95) == ()
    (only,) = early_warnings(winner, level, [weak], None, 0.95)
    assert "not surely better than one of raw pixels: 0.900 and 0.880" in only
    assert len(early_warnings(winner, level, [level, level], None, 0.95)) == 2


@pytest.mark.parametrize("distance", [None, 0.0, 1.79, 1.8, 2.0])
@pytest.mark.parametrize("of_pixels", [0.5, 0.79, 0.95])
def test_far_images_are_warned_of_where_neighbours_are_worse_than_among_raw_pixels(
    distance: float | None, of_pixels: float
) -> None:
    winner, pixels = (
        {"ridge_loo_accuracy": ridge, "knn_loo_accuracy": near, "n_rows": 400}
        for ridge, near in ((0.9, 0.8), (0.5, of_pixels))
    )
    said = early_warnings(winner, pixels, [], distance, 0.95)
    assert bool(said) == (distance in (1.8, 2.0) and of_pixels == 0.95)
    assert all(
        f"(proxy A-distance {distance:.2f} of 2)" in text and f"0.800 and {of_pixels:.3f}" in text for text in said
    )


def test_the_difference_of_independent_shares_is_newcombes_example() -> None:
    found = independent_difference(wilson_interval(56, 70, 0.95), wilson_interval(48, 80, 0.95))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)  # his table II, (a)
