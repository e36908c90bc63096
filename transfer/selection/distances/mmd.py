"""MMD: how far two sets of features are apart in the mean of a kernel, and whether by more than chance.

Source: Gretton et al. 2012, A Kernel Two-Sample Test, JMLR 13, equation 3 (the unbiased estimate), with the
median distance as the bandwidth; several bandwidths as in Long et al. 2015, Learning Transferable Features with Deep
Adaptation Networks, arXiv:1502.02791; the p-value of permutations is that of Phipson and Smyth 2010, Permutation
P-values Should Never Be Zero: (1 + b) / (1 + m).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.randomness import generator
from transfer.selection.checks import require_comparable

_RELATIVE_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_MOST_ROWS = 2000
_MOST_VALUES = 1_000_000  # of permutations at once


@dataclass(frozen=True, slots=True)
class MeanDiscrepancy:
    """How far two sets are apart.

    Args:
        squared: unbiased estimate of the squared distance, at most 2; about 0, and below as often as above, where both
            sets come from one distribution.
        p_value: share of random divisions of the rows that are at least as far apart, in (0, 1].
    """

    squared: float
    p_value: float


def mmd(first: Tensor, second: Tensor, seed: int, n_permutations: int = 200) -> MeanDiscrepancy:
    """Compare two sets by the mean of Gaussian kernels exp(-d^2 / b), b a quarter to four times the median d^2.

    Of more than 2,000 rows in a set, 2,000 are drawn.

    Costs O(n^2 (D + permutations)) and 24 n^2 bytes, n rows in both sets together.

    Args:
        first: finite float (N, D), N at least 2.
        second: finite float (M, D), M at least 2.
        seed: of the rows drawn and of the permutations.
        n_permutations: at least 1; the smallest p-value is 1 / (1 + n_permutations).

    Raises:
        UserError: fewer than two rows in a set, sets of different widths, or a feature that is not finite.
    """
    require_comparable(first, second)
    draw = generator(seed, "mmd")
    first, second = (rows[torch.randperm(len(rows), generator=draw)[:_MOST_ROWS]] for rows in (first, second))
    kernel = _kernel(torch.cat([first, second]).double())
    n_first, n_rows = len(first), len(kernel)
    observed = float(_squared(kernel, (torch.arange(n_rows) < n_first).double()[None], n_first))
    further, at_once = 0, max(1, _MOST_VALUES // n_rows)
    for start in range(0, n_permutations, at_once):
        n_drawn = min(at_once, n_permutations - start)
        members = torch.zeros(n_drawn, n_rows, dtype=torch.float64)
        for one in members:
            one[torch.randperm(n_rows, generator=draw)[:n_first]] = 1
        # A division that is the observed one, in another order of summation, is as far apart.
        further += int((_squared(kernel, members, n_first) >= observed - 1e-12).sum())
    return MeanDiscrepancy(observed, (1 + further) / (1 + n_permutations))


def _kernel(rows: Tensor) -> Tensor:
    """Return the mean of the kernels of all pairs, float64 (n, n), with a diagonal of 0."""
    lengths = rows.square().sum(1)
    squared = (lengths[:, None] + lengths - 2 * rows @ rows.T).clamp_min_(0).fill_diagonal_(0)
    apart = torch.triu_indices(len(rows), len(rows), 1)
    pairs = squared[apart[0], apart[1]]
    median = float(pairs.median()) or float(pairs.mean()) or 1.0  # most rows, or all, may be the same
    kernel = torch.zeros_like(squared)
    for relative in _RELATIVE_BANDWIDTHS:
        kernel += torch.exp(squared / (-relative * median))
    return (kernel / len(_RELATIVE_BANDWIDTHS)).fill_diagonal_(0)


def _squared(kernel: Tensor, members: Tensor, n_first: int) -> Tensor:
    """Return the estimate for divisions of the rows, float64 (B,), 1 in `members` (B, n) for each of the first set."""
    n_second = len(kernel) - n_first
    towards_first = members @ kernel
    within_first = (towards_first * members).sum(1)
    between = towards_first.sum(1) - within_first
    within_second = kernel.sum() - within_first - 2 * between
    return (
        within_first / (n_first * (n_first - 1))
        + within_second / (n_second * (n_second - 1))
        - 2 * between / (n_first * n_second)
    )
