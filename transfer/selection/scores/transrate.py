"""TransRate: how many nats fewer code a row to a given precision once its class is known.

Source: Huang et al. 2022, Frustratingly Easy Transferability Estimation, arXiv:2106.09362, algorithm 1: the
coding rate R(Z, eps), less R(Z, eps | Y).
"""

import torch
from torch import Tensor

from transfer.selection.decomposition import Decomposition

_DISTORTION = 1e-4


def transrate(decomposition: Decomposition, *, scaled: bool = False) -> float:
    """Return the coding rate of all rows less that within the classes, in nats; higher is better.

    As published, every class counts the same and the squared distortion is 1e-4 whatever the scale of the features: of
    two candidates the one with larger features tends to win. The scaled form shares a total power of 1 among the rows
    and weights classes by their rows; it cannot be negative.

    Costs O(k + sum_c N_c k min(N_c, k)) after the decomposition, k = min(N, D).

    Args:
        decomposition: of the rows.
        scaled: remove the scale of the features.
    """
    targets = decomposition.targets
    components, power = decomposition.leading()
    if not len(power):
        return 0.0  # features without any variance say nothing of a class
    scale = 1 / float(power.sum()) if scaled else 1.0
    counts = targets.sum(0)
    weights = counts / counts.sum() if scaled else torch.full_like(counts, 1 / len(counts))
    whole = 0.5 * float((scale * power / (_DISTORTION * decomposition.n_rows)).log1p().sum())
    parts = [_coding_rate(components[rows], scale) for rows in targets.T.bool()]
    return whole - float(weights @ torch.tensor(parts, dtype=torch.float64))


def _coding_rate(rows: Tensor, scale: float) -> float:
    """Return 1/2 log det(1 + scale Z'Z / (N eps)) of rows Z, float64 (N, k), from the smaller of Z'Z and ZZ'."""
    gram = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    shifted = gram.mul_(scale / (_DISTORTION * len(rows)))
    shifted.diagonal().add_(1)
    return float(torch.linalg.cholesky(shifted).diagonal().log().sum())
