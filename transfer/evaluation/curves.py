"""How sure a model may be: reliability, and the risk that is left where it abstains from what it is unsure of."""

from dataclasses import dataclass

import numpy as np

from transfer.metrics.classification import Labels, Probabilities, equal_mass
from transfer.metrics.intervals import wilson_interval
from transfer.records import Interval

_MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of about one confidence.

    Args:
        confidence: their mean confidence, in [0, 1].
        accuracy: with its Wilson interval.
        n_rows: how many there are.
    """

    confidence: float
    accuracy: Interval
    n_rows: int


@dataclass(frozen=True, slots=True)
class Point:
    """What is left where the least confident rows are not answered.

    Args:
        coverage: share of rows that are answered, in (0, 1].
        risk: share of mistakes among them, with its Wilson interval.
        least: the lowest confidence among them.
    """

    coverage: float
    risk: Interval
    least: float


def reliability(actual: Labels, probabilities: Probabilities, confidence: float, n_bins: int = 15) -> tuple[Bin, ...]:
    """Return bins of equal mass by rising confidence, those of the calibration error.

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C).
        confidence: of the intervals, in (0, 1).
        n_bins: fewer where there are fewer rows.
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == actual
    bins = equal_mass(sure, n_bins)
    return tuple(
        Bin(float(sure[rows].mean()), wilson_interval(int(right[rows].sum()), len(rows), confidence), len(rows))
        for rows in bins
    )


def risk_coverage(actual: Labels, probabilities: Probabilities, confidence: float) -> tuple[Point, ...]:
    """Return the risk at rising coverage; rows of equal confidence are answered together.

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C).
        confidence: of the intervals, in (0, 1).

    Source: El-Yaniv and Wiener 2010, On the Foundations of Noise-free Selective Classification, JMLR 11.
    """
    sure, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != actual
    order = np.argsort(-sure, kind="stable")
    ordered, mistakes = sure[order], np.cumsum(wrong[order])
    ends = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True))
    shown = ends[np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _MOST_POINTS)).round().astype(int))]
    return tuple(
        Point(
            (end + 1) / len(wrong), wilson_interval(int(mistakes[end]), int(end) + 1, confidence), float(ordered[end])
        )
        for end in shown
    )
