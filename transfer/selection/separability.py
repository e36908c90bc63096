"""How well frozen features separate the classes of the target, by leaving one row out: no training, one decomposition.

Source: k-NN as a transferability estimate, arXiv:2503.18528; closed-form leave-one-out of ridge regression, Golub, Heath and
Wahba 1979, Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter, Technometrics 21(2), equation 1.4.
"""

import torch
from torch import Tensor

from transfer.errors import UserError

_CHUNK_ROWS = 2048
_N_STRENGTHS = 15
_SMALLEST, _LARGEST = 1e-6, 1e2  # of the ridge strength, relative to the mean squared singular value


def knn_loo_accuracy(features: Tensor, labels: Tensor, k: int) -> float:
    """Return the leave-one-out accuracy of a cosine k-nearest-neighbour classifier.

    Each row is classified by the votes of its k most similar other rows; a tie goes to the class of the most similar one.

    Args:
        features: float (N, D), N at least 2.
        labels: int64 (N,), class indices.
        k: neighbours, at least 1; at most N - 1 are used.

    Raises:
        UserError: fewer than two rows.
    """
    n_rows = _require_rows(features)
    unit = torch.nn.functional.normalize(features.to(torch.float32), dim=1)
    n_classes = int(labels.max()) + 1
    k = min(k, n_rows - 1)
    n_right = 0
    for start in range(0, n_rows, _CHUNK_ROWS):
        similarity = unit[start : start + _CHUNK_ROWS] @ unit.T
        rows = torch.arange(len(similarity))
        similarity[rows, rows + start] = -torch.inf
        nearest = similarity.topk(k, dim=1).indices
        votes = torch.nn.functional.one_hot(labels[nearest], n_classes).sum(1).float()
        votes[rows, labels[nearest[:, 0]]] += 0.5
        n_right += int((votes.argmax(1) == labels[start : start + _CHUNK_ROWS]).sum())
    return n_right / n_rows


def ridge_loo_accuracy(features: Tensor, labels: Tensor) -> float:
    """Return the leave-one-out accuracy of ridge regression on one-hot labels, the strength chosen by its squared error.

    With centred features F = U S V', the hat matrix is H = 1/N + U diag(s^2 / (s^2 + lambda)) U' and the residual without
    row i is e_i = (t_i - t^_i) / (1 - H_ii): every strength is scored from the same decomposition.

    Args:
        features: float (N, D), N at least 2.
        labels: int64 (N,), class indices.

    Raises:
        UserError: fewer than two rows.
    """
    n_rows = _require_rows(features)
    centred = features.to(torch.float64) - features.to(torch.float64).mean(0)
    left, singular, _ = torch.linalg.svd(centred, full_matrices=False)
    power = singular.square()
    targets = torch.nn.functional.one_hot(labels).to(torch.float64)
    mean = targets.mean(0)
    projected = left.T @ (targets - mean)
    scale = power.mean().clamp_min(torch.finfo(torch.float64).tiny)
    best_error, best_accuracy = torch.inf, 0.0
    for strength in torch.logspace(*_exponents(), _N_STRENGTHS, dtype=torch.float64) * scale:
        shrink = power / (power + strength)
        fitted = mean + left @ (shrink[:, None] * projected)
        leverage = 1 / n_rows + (left.square() * shrink).sum(1)
        residual = (targets - fitted) / (1 - leverage).clamp_min(1e-12)[:, None]
        error = float(residual.square().sum())
        if error < best_error:
            best_error = error
            best_accuracy = float(((targets - residual).argmax(1) == labels).double().mean())
    return best_accuracy


def _exponents() -> tuple[float, float]:
    low, high = torch.tensor([_SMALLEST, _LARGEST], dtype=torch.float64).log10().tolist()
    return low, high


def _require_rows(features: Tensor) -> int:
    if len(features) < 2:
        raise UserError(
            f"{len(features)} rows cannot be scored by leaving one out; at least 2 training rows are needed."
        )
    return len(features)
