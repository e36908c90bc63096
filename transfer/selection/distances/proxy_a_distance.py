"""Proxy A-distance: how well a linear classifier tells two sets of features apart.

Source: Ben-David et al. 2007, Analysis of Representations for Domain Adaptation, NeurIPS 19: 2 (1 - 2 e);
with the leave-one-out error of a ridge regression (`transfer.metrics.ridge`) in place of a held-out part's.
"""

import torch
from torch import Tensor

from transfer.metrics.ridge import RidgePath
from transfer.selection.checks import require_comparable


def proxy_a_distance(first: Tensor, second: Tensor) -> float:
    """Return 2 (1 - 2 e), in [0, 2], e the error of telling the sets apart; 0 for sets that cannot be told apart.

    e is the mean of the sets' errors, so that a larger set does not count more, of the ridge regression with the
    smallest error by the rows it was not fitted to; more than 1/2 counts as 1/2.

    Costs O(n D min(n, D)), n rows in both sets together.

    Args:
        first: finite float (N, D), N at least 2.
        second: finite float (M, D), M at least 2.

    Raises:
        UserError: fewer than two rows in a set, sets of different widths, or a feature that is not finite.
    """
    require_comparable(first, second)
    rows = torch.cat([first, second])
    domains = (torch.arange(len(rows)) >= len(first)).long()
    counts = torch.bincount(domains).double()
    weights = (1 / counts)[domains]
    path = RidgePath(rows, domains, 2, weights)
    least = torch.inf
    error = 0.5
    for strength in path.strengths():
        scores = path.without_one(strength)
        squared = float(weights @ (path.targets - scores).square().sum(1))
        if squared < least:
            least, error = squared, float(weights @ (scores.argmax(1) != domains).double()) / 2
    return max(0.0, 2 * (1 - 2 * error))
