"""One-sided tests of two classifiers on the same rows: is the first better, and is it at most so much worse?"""

import math
from statistics import NormalDist

from transfer.errors import UserError
from transfer.metrics.intervals import even_tail


def superiority_p(n_only_first: int, n_only_second: int) -> float:
    """Return the p-value of the exact one-sided McNemar test that the first model is not better than the second.

    Where the two are equally good it lies below a level at most as often as the level says, however few rows there are.

    Args:
        n_only_first: rows that only the first model got right, at least 0.
        n_only_second: rows that only the second model got right, at least 0.

    Source: McNemar 1947, Note on the sampling error of the difference between correlated proportions or percentages,
    Psychometrika 12(2); exact form: the upper tail of the binomial distribution with probability one half.
    """
    return even_tail(n_only_second, n_only_first + n_only_second)


def noninferiority_p(n_only_first: int, n_only_second: int, n_rows: int, margin: float) -> float:
    """Return the p-value of Tango's score test that the first model is worse than the second by the margin or more.

    Args:
        n_only_first: rows that only the first model got right.
        n_only_second: rows that only the second model got right.
        n_rows: all rows, at least 1.
        margin: share of rows, in (0, 1).

    Raises:
        UserError: the counts or the margin are impossible.

    Source: Tango 1998, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design, Statistics in Medicine 17(8): the test statistic and the restricted estimate of its equation for q21.
    """
    if min(n_only_first, n_only_second) < 0 or n_only_first + n_only_second > n_rows or n_rows == 0:
        raise UserError(f"{n_only_first} and {n_only_second} discordant of {n_rows} rows are impossible counts.")
    if not 0 < margin < 1:
        raise UserError(f"The margin is {margin:g}, but must lie between 0 and 1; 0.01 is one point.")
    difference = -margin
    second = restricted_share(n_only_first, n_only_second, n_rows, difference)
    variance = n_rows * (2 * second + difference * (1 - difference))
    return 1 - NormalDist().cdf((n_only_first - n_only_second - n_rows * difference) / math.sqrt(variance))


def restricted_share(n_only_first: int, n_only_second: int, n_rows: int, difference: float) -> float:
    """Return the likeliest share of rows that only the second model gets right, given the difference of the two shares.

    Args:
        n_only_first: see `noninferiority_p`.
        n_only_second: see `noninferiority_p`.
        n_rows: see `noninferiority_p`.
        difference: share that only the first gets right minus share that only the second does, in (-1, 1).

    Source: see `noninferiority_p`.
    """
    square = 2 * n_rows
    linear = -n_only_first - n_only_second + (2 * n_rows - n_only_first + n_only_second) * difference
    constant = -n_only_second * difference * (1 - difference)
    return (math.sqrt(linear * linear - 4 * square * constant) - linear) / (2 * square)
