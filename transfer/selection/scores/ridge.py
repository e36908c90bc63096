"""Ridge leave-one-out: how well a ridge regression on frozen features predicts each row from all others.

Source: Golub, Heath and Wahba 1979, Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter,
Technometrics 21(2), equation 1.4, in `transfer.metrics.ridge`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.metrics.ridge import RidgePath
from transfer.selection.checks import require_scorable
from transfer.selection.decomposition import Decomposition


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


def ridge_loo_accuracy(decomposition: Decomposition) -> float:
    """Return the share of rows whose class the ridge regression on all others gets right, in [0, 1].

    Higher is better. Costs O(N k C) for each of 13 strengths after the decomposition, k = min(N, D).

    Args:
        decomposition: of the rows.
    """
    return float((ridge_of(decomposition).scores.argmax(1) == decomposition.labels).double().mean())


def ridge_of(decomposition: Decomposition) -> RidgeWithoutOne:
    """Predict every row from all others, as `ridge_without_one` does, from a decomposition that is there.

    Args:
        decomposition: of the rows.
    """
    n_classes = int(decomposition.labels.max()) + 1
    path = RidgePath(decomposition.centred, decomposition.labels, n_classes, principal=decomposition.principal)
    return _least_error(path)


def ridge_without_one(features: Tensor, labels: Tensor) -> RidgeWithoutOne:
    """Predict every row from all others, for a grid of strengths, and keep the strength that does it best.

    Args:
        features: finite float (N, D), N at least 2.
        labels: int64 (N,), class indices.

    Raises:
        UserError: fewer than two rows, or a feature that is not finite.
    """
    require_scorable(features, labels)
    return _least_error(RidgePath(features, labels, int(labels.max()) + 1))


def _least_error(path: RidgePath) -> RidgeWithoutOne:
    best = RidgeWithoutOne(0.0, path.targets, torch.inf)
    for strength in path.strengths():
        scores = path.without_one(strength)
        error = float((path.targets - scores).square().sum()) / len(path.targets)
        if error < best.error:
            best = RidgeWithoutOne(strength, scores, error)
    return best
