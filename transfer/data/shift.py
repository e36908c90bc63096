"""How far two collections of images lie apart in what is recorded of each image.

Here both are at hand, whole, so that nothing is put into bins: two distributions that differ within a bin differ. For a
version of which counts alone are kept there is `transfer.data.drift`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TwoSamples:
    """Two samples of a number beside each other.

    Args:
        n_before: values in the first.
        n_after: values in the second.
        mean_before: of the first.
        mean_after: of the second.
        distance: of Kolmogorov and Smirnov, in [0, 1]: the largest difference of the two distribution functions.
        p_value: of a distance at least as large where both were drawn from one distribution, asymptotically.
    """

    n_before: int
    n_after: int
    mean_before: float
    mean_after: float
    distance: float
    p_value: float


def shift_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> TwoSamples | None:
    """Compare two samples of a number; None where one of them is empty.

    The two-sample test of Kolmogorov and Smirnov, as `scipy.stats.ks_2samp` does it, whose import takes longer than
    the comparison. The p-value is that of large samples; of small ones, and where many values are equal, it is too
    large rather than too small.

    Args:
        before: finite, any length.
        after: finite, any length.

    Source: Hodges, "The significance probability of the Smirnov two-sample test", Arkiv foer Matematik 3, 1958: the
        asymptotic two-sided test.
    """
    from scipy.special import kolmogorov

    if not (before.size and after.size):
        return None
    first, second = np.sort(before), np.sort(after)
    points = np.concatenate((first, second))
    below = (np.searchsorted(sample, points, side="right") / sample.size for sample in (first, second))
    distance = float(np.max(np.abs(next(below) - next(below))))
    effective = before.size * after.size / (before.size + after.size)
    p_value = float(kolmogorov(np.sqrt(effective) * distance))
    return TwoSamples(before.size, after.size, float(before.mean()), float(after.mean()), distance, min(1.0, p_value))


def total_variation(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """Return the share of one collection that would have to change for both to have the same proportions, in [0, 1].

    Args:
        before: value -> images that have it, at least one image.
        after: likewise.
    """
    n_before, n_after = sum(before.values()), sum(after.values())
    return 0.5 * sum(abs(before.get(key, 0) / n_before - after.get(key, 0) / n_after) for key in {*before, *after})
