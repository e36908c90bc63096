"""How well a ridge regression on frozen features predicts each row from all others."""

from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.metrics.ridge import RidgePath
from transfer.selection.checks import require_scorable


@dataclass(frozen=True)
class RidgeWithoutOne:
    """What ridge regression predicts for each row when it is fitted to all others.

    Args:
        strength: the penalty on the squared weights, chosen by the smallest leave-one-out squared error.
        scores: float64 (N, C), the class scores of each row; the highest one is the predicted class.
        error: squared distance of the scores from one-hot labels, summed over the classes, mean over the rows.
    """

    strength: float
    scores: Tensor
    error: float


def ridge_without_one(features: Tensor, labels: Tensor) -> RidgeWithoutOne:
    """Predict every row from all others, for a grid of strengths, and keep the strength that does it best.

    Args:
        features: finite float (N, D), N at least 2.
        labels: int64 (N,), class indices.

    Raises:
        UserError: fewer than two rows, or a feature that is not finite.
    """
    require_scorable(features, labels)
    path = RidgePath(features, labels, int(labels.max()) + 1)
    best = RidgeWithoutOne(0.0, path.targets, torch.inf)
    for strength in path.strengths():
        scores = path.without_one(strength)
        error = float((path.targets - scores).square().sum()) / len(labels)
        if error < best.error:
            best = RidgeWithoutOne(strength, scores, error)
    return best
