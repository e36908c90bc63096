"""How far a calibration error may be from the truth: by chance alone it is above 0, and a bootstrap doubles the chance.

A family of models joins the one that is perfectly calibrated (scale 0) to the one whose bins are as far off as these
rows say (scale 1), and goes on. Its calibration error is drawn again for each; the interval holds the scales under
which the observed error is not surprising.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.metrics.classification import Labels, Probabilities, equal_mass, expected_calibration_error
from transfer.metrics.intervals import wilson_interval
from transfer.records import Interval

Floats = NDArray[np.float64]

_SCALES = np.concatenate((np.linspace(0, 1.5, 31), np.linspace(1.6, 4, 25)))


@dataclass(frozen=True)
class Bins:
    """Bins of equal mass, by rising confidence.

    Args:
        sizes: int64 (k,), rows of each.
        confidence: float64 (k,), their mean.
        accuracy: float64 (k,), the share of right ones.
    """

    sizes: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats

    @classmethod
    def of(cls, actual: Labels, probabilities: Probabilities, n_bins: int) -> "Bins":
        """Bin labels int64 (N,) and probabilities float64 (N, C); fewer bins where there are fewer rows."""
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == actual
        parts = equal_mass(sure, n_bins)
        means = [[float(values[rows].mean()) for rows in parts] for values in (sure, right)]
        return cls(np.array([len(rows) for rows in parts]), np.array(means[0]), np.array(means[1]))

    def errors(self, accuracy: Floats, n_draws: int, seed: int) -> Floats:
        """Return the calibration errors that bins of these accuracies show by chance, float64 (n_draws,)."""
        draw = np.random.default_rng(seed)
        shares = draw.binomial(self.sizes, np.clip(accuracy, 0, 1), (n_draws, len(self.sizes))) / self.sizes
        return np.asarray(np.abs(self.confidence - shares) @ self.sizes / self.sizes.sum())


def calibration_interval(
    actual: Labels, probabilities: Probabilities, confidence: float, n_draws: int, seed: int, n_bins: int = 15
) -> tuple[Interval, float]:
    """Return the calibration error with its interval, and the error that a calibrated model stays below.

    The upper bound is at least the distance of the mean confidence from the far end of the accuracy's interval, which
    no error is below.

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C).
        confidence: of the interval, and of staying below, in (0, 1).
        n_draws: of every model of the family.
        seed: of the draws.
        n_bins: of the calibration error.

    Source: Carpenter 1999, Test inversion bootstrap confidence intervals, Journal of the Royal Statistical Society B
    61(1); the calibrated model, Broecker and Smith 2007, Increasing the Reliability of Reliability Diagrams, Weather
    and Forecasting 22(3).
    """
    value = expected_calibration_error(actual, probabilities, n_bins)
    bins, tail = Bins.of(actual, probabilities, n_bins), (1 - confidence) / 2
    gaps = bins.confidence - bins.accuracy
    drawn = [bins.errors(bins.confidence - scale * gaps, n_draws, seed) for scale in _SCALES]
    above = np.array([float((errors >= value - 1e-12).mean()) for errors in drawn])
    below = np.array([float((errors <= value + 1e-12).mean()) for errors in drawn])
    reached, passed = np.flatnonzero(above >= tail), np.flatnonzero(below >= tail)
    low = 0.0 if above[0] >= tail else _scale_at(above, int(reached[0]) - 1, tail) if len(reached) else 1.0
    last = int(passed[-1]) if len(passed) else 0
    high = _scale_at(below, last, tail) if last + 1 < len(_SCALES) else float(_SCALES[-1])
    sure, n_right = float(probabilities.max(axis=1).mean()), round(float(bins.accuracy @ bins.sizes))
    whole = wilson_interval(n_right, len(actual), confidence)
    far = max(abs(sure - whole.low), abs(sure - whole.high))
    return (
        Interval(value, min(value, low * value), max(value, min(1.0, max(high * value, far)))),
        float(np.quantile(drawn[0], confidence)),
    )


def _scale_at(shares: Floats, place: int, level: float) -> float:
    """Return the scale between a place and the next at which the share is a level."""
    first, second = float(shares[place]), float(shares[place + 1])
    step = 0.0 if math.isclose(first, second) else (level - first) / (second - first)
    return float(_SCALES[place] + step * (_SCALES[place + 1] - _SCALES[place]))
