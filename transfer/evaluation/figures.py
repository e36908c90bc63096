"""Everything that is measured of a classifier on its test rows, each figure with its interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.errors import UserError
from transfer.evaluation.comparison import FEWEST, balanced_accuracy
from transfer.metrics import counted
from transfer.metrics.bootstrap import Resamples, bootstrapped, drawn_values, intervals_of
from transfer.metrics.calibration import calibration_interval
from transfer.metrics.classification import Labels, Probabilities, losses
from transfer.metrics.counted import Figure
from transfer.metrics.intervals import f1_interval, mean_of_strata, share_interval, wider, wilson_interval
from transfer.records import Interval

_MOST_WORK = 500_000_000  # rows x classes x resamples of the area under the ROC curve: some ten seconds
_FEWEST_DRAWS = 100


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Figures of one class.

    Args:
        f1: harmonic mean of precision and recall, in [0, 1].
        auroc: area under the ROC curve against all other classes, in [0, 1].
    """

    f1: Interval
    auroc: Interval


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of all rows.

    Args:
        macro_f1: mean of the classes' F1, in [0, 1].
        auroc: mean of the classes' areas under the ROC curve against all others, in [0, 1].
        nll: mean negative log likelihood, nats.
        brier: mean squared error of the probabilities, summed over classes, in [0, 2].
        ece: calibration error over 15 bins of equal mass, in [0, 1].
        ece_if_calibrated: what it stays below for a calibrated model, at the confidence of the intervals.
        aurc: area under the risk-coverage curve, in [0, 1]; lower is better.
        of_classes: of each class.
    """

    macro_f1: Interval
    auroc: Interval
    nll: Interval
    brier: Interval
    ece: Interval
    ece_if_calibrated: float
    aurc: Interval
    of_classes: tuple[ClassFigures, ...]


def figures(
    actual: Labels,
    probabilities: Probabilities,
    confidence: float,
    rows: Resamples,
    seed: int,
    *,
    grouped: bool = False,
) -> Figures:
    """Return figures with their intervals.

    Where no row was mistaken no resample differs from another, and a bootstrap would be sure. Bounds are then those of
    proportions: of the recalls for F1, of the share of mistakes for calibration and risk, and for an area under the ROC
    curve those of as many rows as the class has, or all others if they are fewer.
    Of fewer than `FEWEST` rows a bootstrap is nearly as sure: F1 and area of such a class, and means over classes that
    have one among them, get the wider of both intervals.

    Args:
        actual: int64 (N,), every class at least once.
        probabilities: float64 (N, C).
        confidence: of the intervals, in (0, 1).
        rows: resamples of the rows.
        seed: of what a calibrated model would have shown.
        grouped: whether the resamples are of groups of rows, rather than of rows.

    Raises:
        UserError: a class has no row, so that its figures cannot be computed.
    """
    _require_classes(actual, probabilities.shape[1])
    predicted, few = probabilities.argmax(axis=1), np.bincount(actual) < FEWEST
    found = _of_rows(actual, probabilities, confidence, rows)
    whole, of_f1 = balanced_accuracy(actual, predicted, confidence, rows), _f1_bounds(actual, predicted, confidence)
    f1, f1s = _of_classes(counted.f1_scores(actual, predicted, len(few)), rows, confidence, of_f1, whole, few)
    areas = counted.aurocs(actual, probabilities)
    pairs = _area_bounds(areas, actual, confidence)
    auroc, aurocs = _of_classes(areas, _fewer(rows, len(few)), confidence, pairs, mean_of_strata(pairs), few)
    ece, calm = _calibration(actual, probabilities, confidence, rows, seed, grouped=grouped)
    of_classes = tuple(map(ClassFigures, f1s, aurocs))
    return Figures(f1, auroc, **found, ece=ece, ece_if_calibrated=calm, of_classes=of_classes)


def _require_classes(actual: Labels, n_classes: int) -> None:
    absent = sorted(set(range(n_classes)) - set(np.unique(actual).tolist()))
    if absent:
        raise UserError(f"Class {absent[0]} has no test row, so its figures cannot be computed; add test images of it.")


def _f1_bounds(actual: Labels, predicted: Labels, confidence: float) -> list[Interval]:
    """Return the F1 of every class with the interval that its counts of rows give, made wide enough for its recall's.

    Where all rows of a class were found the recall's goes lower, and without it means over such classes are too sure.
    """
    n_classes = int(actual.max()) + 1
    found, there, said = counted.by_class(actual, predicted, n_classes, np.ones((len(actual), 1)))
    cells = np.concatenate((found, there - found, said - found), axis=1).astype(int).tolist()
    return [
        wider(
            f1_interval(n_found, n_missed, n_false, confidence),
            wilson_interval(n_found, n_found + n_missed, confidence),
        )
        for n_found, n_missed, n_false in cells
    ]


def _area_bounds(areas: Figure, actual: Labels, confidence: float) -> list[Interval]:
    """Return the area of every class with the interval that the number of its rows gives, or of all others if fewer."""
    n_of = np.bincount(actual)
    values = areas(np.ones((len(actual), 1)))[:, 0].tolist()
    fewer = np.minimum(n_of, len(actual) - n_of).tolist()
    return [share_interval(value, n_rows, confidence) for value, n_rows in zip(values, fewer, strict=True)]


def _calibration(
    actual: Labels, probabilities: Probabilities, confidence: float, rows: Resamples, seed: int, *, grouped: bool
) -> tuple[Interval, float]:
    """Return the calibration error; of groups, with an interval that holds that of the bootstrap of groups too."""
    ece, calm = calibration_interval(actual, probabilities, confidence, rows.drawn.shape[1], seed)
    if not grouped:
        return ece, calm
    (more,) = bootstrapped(counted.calibration_error(actual, probabilities), rows, confidence)
    return (ece if more is None else wider(ece, more)), calm


def _of_rows(actual: Labels, probabilities: Probabilities, confidence: float, rows: Resamples) -> dict[str, Interval]:
    """Return the figures that are means over rows, or over numbers of rows."""
    wrong = probabilities.argmax(axis=1) != actual
    mistakes = wilson_interval(int(wrong.sum()), len(actual), confidence)
    of_one = {
        "nll": counted.mean_of(losses(actual, probabilities)),
        "brier": counted.mean_of(counted.squared_errors(actual, probabilities)),
        "aurc": counted.risk_area(wrong, probabilities.max(axis=1)),
    }
    return {name: _bounded(figure, rows, confidence, mistakes) for name, figure in of_one.items()}


def _bounded(figure: Figure, rows: Resamples, confidence: float, bounds: Interval) -> Interval:
    (found,) = bootstrapped(figure, rows, confidence)
    return found or _held(float(figure(np.ones((len(rows.drawn), 1)))[0]), bounds)


def _of_classes(
    figure: Figure,
    rows: Resamples,
    confidence: float,
    bounds: list[Interval],
    bound: Interval,
    few: NDArray[np.bool_],
) -> tuple[Interval, list[Interval]]:
    """Return the mean over classes, and each class.

    Args:
        figure: of every class.
        rows: what to draw.
        confidence: of the intervals, in (0, 1).
        bounds: stand in for a class of which no resample differs from another, and widen one of few rows.
        bound: stands in where that holds of the mean.
        few: bool (C,), the classes of few rows.
    """
    values = drawn_values(figure, rows)
    of_all = values[0][:, 0].tolist()
    means = [counted.class_mean(one)[None] for one in values]
    (mean,) = intervals_of((means[0], means[1], means[2]), confidence)
    held = [_held(value, one) for value, one in zip(of_all, bounds, strict=True)]
    each = [one or other for one, other in zip(intervals_of(values, confidence), held, strict=True)]
    each = [wider(*both) if is_few else both[0] for *both, is_few in zip(each, held, few, strict=True)]
    whole = mean or _held(float(np.mean(of_all)), bound)
    return wider(whole, mean_of_strata(each)) if few.any() else whole, each


def _held(value: float, bounds: Interval) -> Interval:
    return Interval(value, min(value, bounds.low), max(value, bounds.high))


def _fewer(rows: Resamples, n_classes: int) -> Resamples:
    """Return as many resamples as can be afforded for a figure whose cost grows with the classes."""
    n_rows, n_drawn = rows.drawn.shape
    n_afforded = _MOST_WORK // (n_rows * n_classes)
    if n_afforded >= n_drawn:
        return rows
    return Resamples(rows.drawn[:, : max(_FEWEST_DRAWS, n_afforded)], rows.left_out)
