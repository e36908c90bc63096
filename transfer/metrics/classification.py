"""Metrics of a classifier's predictions; what cannot be computed is an error, never nan or 0 in disguise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.errors import UserError

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]

_SMALLEST = 1e-15


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Precision, recall and F1 of one class in [0, 1]; precision is None where the class was never predicted.

    Args:
        precision: share of the predictions of this class that are right.
        recall: share of this class's rows that were found.
        f1: harmonic mean of the two; 0 where no row of this class was found, a class never predicted included.
        support: rows of this class.
        n_found: rows of this class that were predicted as such.
    """

    precision: float | None
    recall: float
    f1: float
    support: int
    n_found: int


def accuracy(actual: Labels, predicted: Labels) -> float:
    """Return the share of right predictions.

    Args:
        actual: int64 (N,).
        predicted: int64 (N,).

    Raises:
        UserError: there is no row, or the lengths differ.
    """
    _require_rows(actual, predicted)
    return float((actual == predicted).mean())


def confusion_matrix(actual: Labels, predicted: Labels, n_classes: int) -> NDArray[np.int64]:
    """Return counts (n_classes, n_classes): row = actual class, column = predicted class."""
    _require_rows(actual, predicted)
    flat = np.bincount(actual * n_classes + predicted, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


def class_metrics(confusion: NDArray[np.int64]) -> tuple[ClassMetrics, ...]:
    """Return the metrics of every class.

    Args:
        confusion: counts (C, C), row = actual.

    Raises:
        UserError: a class has no row, so its recall cannot be computed.
    """
    rows = []
    for index in range(len(confusion)):
        found, support, claimed = (
            int(n) for n in (confusion[index, index], confusion[index].sum(), confusion[:, index].sum())
        )
        if support == 0:
            raise UserError(f"Class {index} has no test row, so its recall cannot be computed; add test images of it.")
        f1 = 2 * found / (support + claimed)
        rows.append(ClassMetrics(found / claimed if claimed else None, found / support, f1, support, found))
    return tuple(rows)


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Return the unweighted mean of the classes' F1."""
    return float(np.mean([metrics.f1 for metrics in class_metrics(confusion)]))


def negative_log_likelihood(actual: Labels, probabilities: Probabilities) -> float:
    """Return the mean negative log likelihood in nats.

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C), rows sum to 1.
    """
    _require_rows(actual, probabilities)
    return float(losses(actual, probabilities).mean())


def losses(actual: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the negative log likelihood of every row, float64 (N,), nats.

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C).
    """
    return -np.log(np.clip(probabilities[np.arange(len(actual)), actual], _SMALLEST, 1.0))


def expected_calibration_error(actual: Labels, probabilities: Probabilities, n_bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal mass.

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C).
        n_bins: bins; fewer where there are fewer rows.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599, equation 3, with the equal-mass
    bins of Nixon et al. 2019, Measuring Calibration in Deep Learning, arXiv:1904.01685.
    """
    _require_rows(actual, probabilities)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == actual
    bins = equal_mass(confidence, n_bins)
    gaps = [abs(right[rows].mean() - confidence[rows].mean()) * len(rows) for rows in bins]
    return float(sum(gaps) / len(actual))


def equal_mass(confidence: NDArray[np.float64], n_bins: int) -> list[NDArray[np.int64]]:
    """Return the places of the rows of each bin, by rising confidence; fewer bins where there are fewer rows.

    Args:
        confidence: float64 (N,), N at least 1.
        n_bins: the first bins have a row more than the last ones where they do not come out even.
    """
    return np.array_split(np.argsort(confidence, kind="stable"), min(n_bins, len(confidence)))


def _require_rows(actual: Labels, other: NDArray[np.generic]) -> None:
    if len(actual) == 0 or len(actual) != len(other):
        raise UserError(
            f"{len(actual)} labels and {len(other)} predictions cannot be compared; both must be equal and above 0."
        )
