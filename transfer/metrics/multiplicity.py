"""Tests of several claims at once, and of paired rows that depend on one another in groups."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return adjusted p-values: claiming where they are below a level makes any false claim no likelier than that.

    Args:
        p_values: of the tests, in any order, in [0, 1].

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6(2).
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def bonferroni(confidence: float, n_claims: int) -> float:
    """Return the confidence that each of some claims needs, so that all of them hold together with a given one.

    Args:
        confidence: of all of them together, in (0, 1).
        n_claims: how many there are, at least 1.

    Source: Dunn 1961, Multiple comparisons among means, Journal of the American Statistical Association 56(293).
    """
    return 1 - (1 - confidence) / n_claims


def sign_flip_p(sums: Sequence[int]) -> float:
    """Return the exact two-sided p-value of sums of paired differences, a sum a group; 1 where all are 0.

    Where two models are alike, any group might as well have had the opposite sum. With groups of one row it is the
    exact McNemar test.

    Args:
        sums: of every group, rows that only the first got right less rows that only the second did.

    Source: Fisher 1935, The Design of Experiments, section 21; McNemar's test for groups, Durkalski et al. 2003, The
    analysis of clustered matched-pair data, Statistics in Medicine 22(15).
    """
    sizes = Counter(abs(one) for one in sums if one)
    if not sizes:
        return 1.0
    shares = np.ones(1)
    for size, number in sizes.items():  # of `number` groups k add their size, the others subtract it
        ways = np.zeros(2 * size * number + 1)
        logs = [math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1) for k in range(number + 1)]
        ways[:: 2 * size] = np.exp(np.array(logs) - number * math.log(2))
        shares = np.convolve(shares, ways)
    reach = (len(shares) - 1) // 2
    values = np.abs(np.arange(-reach, reach + 1))
    return float(min(1.0, shares[values >= abs(sum(sums))].sum()))
