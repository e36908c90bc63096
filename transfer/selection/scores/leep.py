"""LEEP: how likely the labels are when the source classifier's classes are translated into them.

Source: Nguyen et al. 2020, LEEP: A New Measure to Evaluate Transferability of Learned Representations,
arXiv:2002.12462, equations 1 and 2.
"""

import torch
from torch import Tensor

from transfer.selection.checks import targets_of_source


def leep(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean log likelihood of the labels, mean_i log sum_z p(y_i | z) P[i, z], in nats; higher is better.

    In (-inf, 0]. p(y | z) is estimated from the same rows.

    Costs O(N Cs C).

    Args:
        probabilities: shares of the source classes, float (N, Cs), rows sum to 1.
        labels: int64 (N,).

    Raises:
        UserError: another number of labels than rows, fewer than two classes, or rows that are no shares.
    """
    targets = targets_of_source(probabilities, labels)
    shares = probabilities.to(torch.float64)
    joint = targets.T @ shares
    conditional = joint / joint.sum(0).clamp_min(torch.finfo(torch.float64).tiny)  # a class never met has no share
    likelihood = ((targets @ conditional) * shares).sum(1)
    return float(likelihood.log().mean())
