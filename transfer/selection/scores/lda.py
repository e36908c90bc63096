"""Linear discriminant analysis with a within-class scatter that is shrunk the more, the weaker it is.

Source: Shao et al. 2022, Not All Models Are Equal: Predicting Model Transferability in a Self-challenging Fisher Space,
arXiv:2207.03036: regularised Fisher discriminant analysis.
"""

import math

import torch
from torch import Tensor

from transfer.selection.decomposition import Decomposition

_RATE, _LEAST = 5.0, 1e-10
_POWER_ITERATIONS = 3


def within_scatter(decomposition: Decomposition) -> Tensor:
    """Return the scatter of rows about their class's mean, over N, along the principal directions, float64 (k, k).

    The total scatter is diagonal there and that of the class means is of rank C - 1: O(k^2 C).

    Args:
        decomposition: of the rows.
    """
    (components, power), targets = decomposition.leading(), decomposition.targets
    means = class_means(components, targets)
    between = (means * targets.mean(0)[:, None]).T @ means
    return torch.diag(power / decomposition.n_rows) - between


def class_means(rows: Tensor, targets: Tensor) -> Tensor:
    """Return the mean row of each class, float64 (C, k), of rows (N, k) with one-hot targets (N, C)."""
    return (targets.T @ rows) / targets.sum(0)[:, None]


def shrinkage_of(scatter: Tensor, decomposition: Decomposition) -> float:
    """Return the share of the identity, exp(-5 times the largest eigenvalue of the scatter), in [1e-10, 1].

    As published, the eigenvalue is what six multiplications make of the vector whose features are all 1. So the share,
    and what is built on it, depends on the scale of the features.

    Args:
        scatter: what `within_scatter` returned.
        decomposition: of the rows.
    """
    components, power = decomposition.leading()
    ones = (components.T @ decomposition.centred.sum(1)) / power  # the vector of ones along the principal directions
    after = scatter @ ones
    before = after
    for _ in range(_POWER_ITERATIONS):
        before = torch.nn.functional.normalize(scatter @ after, dim=0, eps=torch.finfo(torch.float64).tiny)
        after = torch.nn.functional.normalize(scatter @ before, dim=0, eps=torch.finfo(torch.float64).tiny)
    return max(math.exp(-_RATE * float(after @ scatter @ before)), _LEAST)


def posterior(rows: Tensor, targets: Tensor, scatter: Tensor, shrinkage: float, width: int) -> Tensor:
    """Return the probability of each class given each row, by Gaussians that share a covariance, float64 (N, C).

    Costs O(k^3 + N k C).

    Args:
        rows: float64 (N, k), which the analysis is fitted to, too.
        targets: one-hot float64 (N, C).
        scatter: of the rows about their class's mean, float64 (k, k).
        shrinkage: share of the identity, in (0, 1].
        width: features among which the identity's power is shared out, at least k.
    """
    means = class_means(rows, targets)
    power = scatter.diagonal()
    # Never less than what rounding leaves: classes that do not vary at all have no scatter to be shrunk.
    floor = len(power) * torch.finfo(torch.float64).eps * float(rows.square().sum()) / len(rows)
    ridge = max(shrinkage * float(power.sum()) / width, floor, torch.finfo(torch.float64).tiny)
    shrunk = (1 - shrinkage) * scatter + ridge * torch.eye(len(power), dtype=torch.float64)
    slopes = torch.cholesky_solve(means.T, torch.linalg.cholesky(shrunk))
    offsets = targets.mean(0).log() - 0.5 * (means * slopes.T).sum(1)
    return (rows @ slopes + offsets).softmax(1)
