"""GBC: how little the classes overlap when each is a Gaussian.

Source: Pandy et al. 2022, Transferability Estimation using Bhattacharyya Class Separability, arXiv:2111.12780: the
sum over pairs of classes of exp(-D_B), D_B the Bhattacharyya distance of two Gaussians.
"""

import torch
from torch import Tensor

from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.lda import class_means

_DIRECTIONS = 64
_LEAST_VARIANCE = 1e-4


def gbc(decomposition: Decomposition, *, spherical: bool = False) -> float:
    """Return minus the sum of the Bhattacharyya coefficients of all ordered pairs of classes; higher is better.

    In [-C (C - 1), 0]. Variances are those along the 64 strongest principal directions, at least 1e-4 as published, so
    that the scale of the features matters where they are small. The published code counts the volume of a spherical
    class as if it had one dimension; here it has all of them.

    Costs O(N d + C^2 d) after the decomposition, d at most 64.

    Args:
        decomposition: of the rows.
        spherical: give a class one variance rather than one for every direction.
    """
    targets = decomposition.targets
    rows = decomposition.leading(_DIRECTIONS)[0]
    counts, means = targets.sum(0)[:, None], class_means(rows, targets)
    squares = targets.T @ (rows - targets @ means).square()
    variances = (squares / (counts - 1).clamp_min(1)).clamp_min(_LEAST_VARIANCE)
    if spherical and rows.shape[1]:
        variances = variances.mean(1, keepdim=True).expand_as(variances)
    overlap = sum(float(_overlaps(one, means, variances).sum()) - 1 for one in range(len(means)))
    return -overlap


def _overlaps(one: int, means: Tensor, variances: Tensor) -> Tensor:
    """Return the Bhattacharyya coefficients of a class with every class, itself included, float64 (C,)."""
    middle = (variances[one] + variances) / 2
    apart = ((means[one] - means).square() / middle).sum(1) / 8
    volume = (middle.log() - 0.5 * (variances[one].log() + variances.log())).sum(1) / 2
    return torch.exp(-apart - volume)
