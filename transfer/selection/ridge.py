"""Ridge regression on frozen features, each row predicted by the fit to all others, without fitting twice.

Source: Golub, Heath and Wahba 1979, Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter,
Technometrics 21(2), equation 1.4: the residual without row i is e_i = (t_i - fitted_i) / (1 - H_ii).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transfer.selection.checks import require_scorable

_RELATIVE_STRENGTHS = tuple(10.0**exponent for exponent in (-6, -5, -4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1))


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
    """Predict every row from all others, for a grid of strengths, from one decomposition.

    With centred features F = U S V' the hat matrix is H = 1/N + U S (S^2 + lambda)^-1 S U'. Only P = U S is needed, and
    it comes from the smaller of F'F and FF', a tenth of the time of a singular value decomposition of F itself. The
    intercept is not penalised.

    Args:
        features: finite float (N, D), N at least 2.
        labels: int64 (N,), class indices.

    Raises:
        UserError: fewer than two rows, or a feature that is not finite.
    """
    require_scorable(features, labels)
    targets = functional.one_hot(labels).to(torch.float64)
    mean = targets.mean(0)
    components, power = _principal(features.to(torch.float64))
    projected = components.T @ (targets - mean)
    scale = float(power.sum() / len(power)) or 1.0
    best = RidgeWithoutOne(0.0, targets, torch.inf)
    for strength in (relative * scale for relative in _RELATIVE_STRENGTHS):
        shrink = 1 / (power + strength)
        leverage = 1 / len(targets) + components.square() @ shrink
        residual = targets - mean - components @ (shrink[:, None] * projected)
        residual /= (1 - leverage).clamp_min(1e-12)[:, None]
        error = float(residual.square().sum()) / len(targets)
        if error < best.error:
            best = RidgeWithoutOne(strength, targets - residual, error)
    return best


def _principal(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return P = U S (N, k) of the centred features and S^2 (k,), k the smaller of N and D."""
    centred = features - features.mean(0)
    n_rows, width = centred.shape
    if n_rows > width:
        power, directions = torch.linalg.eigh(centred.T @ centred)
        return centred @ directions, power.clamp_min(0)
    power, left = torch.linalg.eigh(centred @ centred.T)
    power = power.clamp_min(0)
    return left * power.sqrt(), power
