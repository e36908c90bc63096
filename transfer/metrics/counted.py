"""Figures of rows that count a number of times each: a column of counts is a resample, a column of ones the rows as is.

Every figure of a bootstrap is computed for all resamples at once. A row that counts twice weighs as two equal rows.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from transfer.metrics.classification import Labels, Probabilities

Floats = NDArray[np.float64]
Counts = NDArray[np.float64]  # (N, B), whole numbers, at least 0
Figure = Callable[[Counts], Floats]  # counts (N, B) -> a value a resample, (B,), or one for each of C classes, (C, B)

_MOST_AT_ONCE = 1 << 22  # values in memory of one array, 32 MB


def in_parts(figure: Figure, counts: NDArray[np.generic]) -> Floats:
    """Return a figure of every column, computed for so many columns at a time that memory stays small.

    Args:
        figure: of counts.
        counts: (N, B), of any numeric type.
    """
    step = max(1, _MOST_AT_ONCE // len(counts))
    parts = [figure(counts[:, first : first + step].astype(np.float64)) for first in range(0, counts.shape[1], step)]
    return np.concatenate(parts, axis=-1)


def mean_of(values: Floats) -> Figure:
    """Return the mean of a value of every row, (N,), as a figure; nan where a resample has none of the rows."""

    def figure(counts: Counts) -> Floats:
        summed, there = values @ counts, counts.sum(axis=0)
        return np.asarray(np.divide(summed, there, out=np.full_like(summed, np.nan), where=there > 0))

    return figure


def squared_errors(actual: Labels, probabilities: Probabilities) -> Floats:
    """Return the squared error of every row's probabilities, summed over the classes, float64 (N,), in [0, 2].

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C).

    Source: Brier 1950, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78(1).
    """
    wanted = np.zeros_like(probabilities)
    wanted[np.arange(len(actual)), actual] = 1.0
    return np.asarray(np.square(probabilities - wanted).sum(axis=1))


def by_class(actual: Labels, predicted: Labels, n_classes: int, counts: Counts) -> tuple[Floats, Floats, Floats]:
    """Return how many rows of each class were found, there are, and were said to be of it; each (C, B).

    Args:
        actual: int64 (N,).
        predicted: int64 (N,).
        n_classes: C.
        counts: (N, B).
    """
    found = np.where(actual == predicted, actual, n_classes)
    sums = [_summed(labels, n_classes + 1, counts)[:n_classes] for labels in (found, actual, predicted)]
    return sums[0], sums[1], sums[2]


def means_by_class(values: Floats, actual: Labels) -> Figure:
    """Return the mean of a value of every row over the rows of each class, (C, B); nan where a resample has none.

    Args:
        values: (N,), for example whether the row was recognised: the recalls.
        actual: int64 (N,), C different ones.
    """
    labels, place = np.unique(actual, return_inverse=True)

    def figure(counts: Counts) -> Floats:
        summed, there = (_summed(place, len(labels), part) for part in (counts * values[:, None], counts))
        return np.divide(summed, there, out=np.full_like(summed, np.nan), where=there > 0)

    return figure


def f1_scores(actual: Labels, predicted: Labels, n_classes: int) -> Figure:
    """Return the F1 of every class as a figure, (C, B); nan where a resample has no row of the class."""

    def figure(counts: Counts) -> Floats:
        found, there, said = by_class(actual, predicted, n_classes, counts)
        return np.divide(2 * found, there + said, out=np.full_like(found, np.nan), where=there > 0)

    return figure


def over_classes(figure: Figure) -> Figure:
    """Return the mean of a figure of every class, (C, B), over the classes that a resample has."""
    return lambda counts: class_mean(figure(counts))


def class_mean(values: Floats) -> Floats:
    """Return the mean over classes, (B,), of values (C, B), of which nan is passed over; nan where all are."""
    there = ~np.isnan(values)
    summed, number = np.where(there, values, 0.0).sum(axis=0), there.sum(axis=0)
    return np.asarray(np.divide(summed, number, out=np.full_like(summed, np.nan), where=number > 0))


def aurocs(actual: Labels, probabilities: Probabilities) -> Figure:
    """Return the area under the ROC curve of every class against the rest, (C, B), in [0, 1].

    It is the chance that a row of the class has a higher probability of it than a row of another class, ties counting
    half. nan where a resample has rows of that class alone, or none.

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C).

    Source: Hanley and McNeil 1982, The meaning and use of the area under a receiver operating characteristic (ROC)
    curve, Radiology 143(1); Fawcett 2006, An introduction to ROC analysis, section 9, for several classes.
    """
    return lambda counts: np.stack(
        [_auroc(actual == label, probabilities[:, label], counts) for label in range(probabilities.shape[1])]
    )


def calibration_error(actual: Labels, probabilities: Probabilities, n_bins: int = 15) -> Figure:
    """Return the calibration error over bins of equal mass as a figure; see `classification`'s function of that name.

    Args:
        actual: int64 (N,).
        probabilities: float64 (N, C).
        n_bins: bins; a resample has its own.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    gaps = (confidence - (probabilities.argmax(axis=1) == actual))[order]

    def figure(counts: Counts) -> Floats:
        ordered = counts[order]
        seen, summed = np.cumsum(ordered, axis=0).T, np.cumsum(ordered * gaps[:, None], axis=0).T
        return np.array([_binned(*both, gaps, n_bins) for both in zip(seen, summed, strict=True)])

    return figure


def risk_area(wrong: NDArray[np.bool_], confidence: Floats) -> Figure:
    """Return the area under the risk-coverage curve as a figure, in [0, 1]; lower is better.

    Rows are taken in by falling confidence; the area is the mean, over all numbers of rows taken in, of the share of
    mistakes among them. Rows of equal confidence come in by chance: the expectation is taken.

    With h(m) the sum of 1 / k for k up to m, a mistake that comes r-th adds (h(n) - h(r - 1)) / n to the area, and w
    equal rows from r on together w h(n) - (H(r + w - 2) - H(r - 2)) with H the running sum of h.

    Args:
        wrong: bool (N,), whether the row was mistaken.
        confidence: float64 (N,).

    Source: El-Yaniv and Wiener 2010, On the Foundations of Noise-free Selective Classification, JMLR 11; the area,
    Geifman, Uziel and El-Yaniv 2019, Bias-Reduced Uncertainty Estimation, arXiv:1805.08206, equation 2.
    """
    values, place = np.unique(-confidence, return_inverse=True)

    def figure(counts: Counts) -> Floats:
        there = _summed(place, len(values), counts)
        mistaken = _summed(place, len(values), counts * wrong[:, None])
        upto = np.cumsum(there, axis=0).astype(np.int64)
        total = upto[-1]
        harmonic = np.concatenate(([0.0], np.cumsum(1 / np.arange(1, int(total.max()) + 1))))
        running = np.concatenate(([0.0], np.cumsum(harmonic)))  # running[m] is h(0) + ... + h(m - 1)
        share = np.divide(mistaken, there, out=np.zeros_like(there), where=there > 0)
        before = upto - there.astype(np.int64)
        added = there * harmonic[total] - (running[upto] - running[before])
        return np.asarray((share * added).sum(axis=0) / total)

    return figure


def _summed(labels: Labels, n_labels: int, counts: Counts) -> Counts:
    """Return the counts of the rows of each label, (n_labels, B)."""
    from scipy.sparse import csr_matrix

    n_rows = len(labels)
    picks = csr_matrix((np.ones(n_rows), (labels, np.arange(n_rows))), shape=(n_labels, n_rows))
    return np.asarray(picks @ counts)


def _auroc(is_class: NDArray[np.bool_], scores: Floats, counts: Counts) -> Floats:
    """Return the area of one class, (B,): the wins of its rows over all others, ties half, by the number of pairs."""
    order = np.argsort(scores, kind="stable")
    ordered, own = scores[order], is_class[order]
    others = counts[order] * ~own[:, None]
    below = np.concatenate((np.zeros((1, counts.shape[1])), np.cumsum(others, axis=0)))
    first, last = (np.searchsorted(ordered, ordered[own], side) for side in ("left", "right"))
    mine = counts[order[own]]
    wins = (mine * (below[first] + below[last])).sum(axis=0) / 2
    pairs = mine.sum(axis=0) * below[-1]
    return np.asarray(np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0))


def _binned(seen: Floats, summed: Floats, gaps: Floats, n_bins: int) -> float:
    """Return the sum of the bins' absolute gaps over the rows of a resample that is sorted by confidence.

    Args:
        seen: (N,), how many rows there are up to each.
        summed: (N,), the gaps up to each row, by counts.
        gaps: (N,), confidence less correctness of each row.
        n_bins: the first bins have a row more than the last ones where they do not come out even.
    """
    total = round(seen[-1])
    used = min(n_bins, total)
    edges = np.arange(1, used + 1) * (total // used) + np.minimum(np.arange(1, used + 1), total % used)
    row = np.searchsorted(seen, edges)  # the row that an edge lies in or at the end of
    upto = summed[row] - (seen[row] - edges) * gaps[row]
    return float(np.abs(np.diff(upto, prepend=0.0)).sum() / total)
