"""Intervals and tests for proportions measured on the same rows."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from transfer.errors import UserError
from transfer.records import Interval


def wilson_interval(n_right: int, n_rows: int, confidence: float) -> Interval:
    """Return a proportion with its Wilson score interval.

    Args:
        n_right: successes, in [0, n_rows].
        n_rows: trials, at least 1.
        confidence: in (0, 1), for example 0.95.

    Raises:
        UserError: there are no trials, or more successes than trials.

    Source: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22(158).
    """
    if not 0 <= n_right <= n_rows or n_rows == 0:
        raise UserError(f"{n_right} of {n_rows} is no proportion; there must be at least one row.")
    return share_interval(n_right / n_rows, n_rows, confidence)


def share_interval(share: float, n_rows: int, confidence: float) -> Interval:
    """Return a figure in [0, 1] whose variance is at most that of a proportion, with its Wilson score interval.

    Such is an area A under a ROC curve, whose variance is at most A (1 - A) over the rows of the rarer side.

    Args:
        share: the figure.
        n_rows: trials that a proportion of that variance has, at least 1.
        confidence: in (0, 1).

    Source: Wilson 1927, as above; the variance of the area, Van Dantzig 1951, as Birnbaum and Klose 1957 give it,
    Bounds for the Variance of the Mann-Whitney Statistic, Annals of Mathematical Statistics 28(4).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    denominator = 1 + z * z / n_rows
    centre = (share + z * z / (2 * n_rows)) / denominator
    half = z * math.sqrt(share * (1 - share) / n_rows + z * z / (4 * n_rows * n_rows)) / denominator
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def f1_interval(n_found: int, n_missed: int, n_false: int, confidence: float) -> Interval:
    """Return the F1 of a class with its interval.

    Of the rows that are of the class or said to be, those found are a proportion p, with Wilson's interval; F1 is
    2 p / (1 + p), which grows with p.

    Args:
        n_found: rows of the class that were recognised.
        n_missed: rows of the class that were not.
        n_false: other rows that were said to be of it.
        confidence: in (0, 1).

    Raises:
        UserError: there is no row of either kind.

    Source: Wilson 1927, as above; the map, Jaccard's index to Dice's.
    """
    found = wilson_interval(n_found, n_found + n_missed + n_false, confidence)
    return Interval(*(2 * share / (1 + share) for share in (found.value, found.low, found.high)))


def mean_of_strata(parts: Sequence[Interval], low: float = 0.0, high: float = 1.0) -> Interval:
    """Return the mean of independent figures, each stratum counting the same, with its interval.

    The distances of the mean to its bounds are the roots of the mean squares of those of the parts, over the number of
    parts; with one part it is that part. A part without a mistake keeps the doubt that its own interval has.

    Args:
        parts: a figure a stratum, with intervals of one confidence.
        low: no bound lies below.
        high: no bound lies above.

    Raises:
        UserError: there is no part.

    Source: the method of variance estimates recovery, Zou and Donner 2008, Construction of confidence limits about
    effect measures: a general approach, Statistics in Medicine 27(10), the limits of a sum.
    """
    if not parts:
        raise UserError("There is no class to take the mean of; add test images.")
    value = math.fsum(part.value for part in parts) / len(parts)
    below = math.sqrt(math.fsum((part.value - part.low) ** 2 for part in parts)) / len(parts)
    above = math.sqrt(math.fsum((part.high - part.value) ** 2 for part in parts)) / len(parts)
    return Interval(value, max(low, value - below), min(high, value + above))


def wider(own: Interval, other: Interval) -> Interval:
    """Return a figure with an interval that holds both its own and another one."""
    return Interval(own.value, min(own.low, other.low), max(own.high, other.high))


def independent_difference(first: Interval, second: Interval) -> Interval:
    """Return the difference of two independent figures in [0, 1] with its interval (values in [-1, 1]).

    Args:
        first: with an interval of the confidence that the result has.
        second: the same.

    Source: Newcombe 1998, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17(8), method 10.
    """
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, max(-1.0, value - below), min(1.0, value + above))


def paired_difference(n_only_first: int, n_only_second: int, n_rows: int, confidence: float) -> Interval:
    """Return the difference of two accuracies on the same rows, with its interval (values in [-1, 1]).

    The interval is Wald's with the Agresti-Min adjustment: half a row is added to each of the four cells.

    Args:
        n_only_first: rows that only the first model got right.
        n_only_second: rows that only the second model got right.
        n_rows: all rows, at least 1.
        confidence: in (0, 1).

    Raises:
        UserError: the counts are impossible.

    Source: Agresti and Min 2005, Simple improved confidence intervals for comparing matched proportions, Statistics in
    Medicine 24(5).
    """
    if min(n_only_first, n_only_second) < 0 or n_only_first + n_only_second > n_rows or n_rows == 0:
        raise UserError(f"{n_only_first} and {n_only_second} discordant of {n_rows} rows are impossible counts.")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    first, second, total = n_only_first + 0.5, n_only_second + 0.5, n_rows + 2
    centre = (first - second) / total
    half = z * math.sqrt(first + second - (first - second) ** 2 / total) / total
    difference = (n_only_first - n_only_second) / n_rows
    return Interval(difference, max(-1.0, min(difference, centre - half)), min(1.0, max(difference, centre + half)))


def mcnemar_p(n_only_first: int, n_only_second: int) -> float:
    """Return the two-sided p-value of the exact McNemar test; 1 when no row is discordant.

    Source: McNemar 1947, Note on the sampling error of the difference between correlated proportions or percentages,
    Psychometrika 12(2); exact form: the binomial test with probability one half.
    """
    n_discordant = n_only_first + n_only_second
    return min(1.0, 2 * even_tail(min(n_only_first, n_only_second), n_discordant))


def even_tail(n_most: int, n_trials: int) -> float:
    """Return the chance that at most so many of a number of fair coins fall heads, exact."""
    return float(sum(math.comb(n_trials, k) for k in range(n_most + 1)) / 2**n_trials)
