"""Nearest neighbours of frozen features: do examples of a class lie next to each other?

Source: k-NN as a transferability estimate, arXiv:2503.18528 (better than every training-free metric on average over
16 data sets).
"""

import torch
from torch import Tensor
from torch.nn import functional

from transfer.selection.checks import require_scorable

_CHUNK_ROWS = 1024


def knn_loo_accuracy(features: Tensor, labels: Tensor, k: int) -> float:
    """Return the share of rows whose class their k nearest other rows get right, in [0, 1]; higher is better.

    Costs O(N^2 D).

    Args:
        features: finite float (N, D), N at least 2.
        labels: int64 (N,), class indices.
        k: see `knn_without_one`.

    Raises:
        UserError: fewer than two rows, or a feature that is not finite.
    """
    return float((knn_without_one(features, labels, k) == labels).double().mean())


def knn_without_one(features: Tensor, labels: Tensor, k: int) -> Tensor:
    """Return what a cosine k-nearest-neighbour classifier predicts for each row from all others.

    Each row is classified by the votes of its k most similar other rows; of several classes with most votes the one of
    the most similar row among them wins.

    Args:
        features: finite float (N, D), N at least 2.
        labels: int64 (N,), class indices.
        k: neighbours, at least 1; at most N - 1 are used.

    Returns:
        Class indices, int64 (N,).

    Raises:
        UserError: fewer than two rows, or a feature that is not finite.
    """
    require_scorable(features, labels)
    n_rows, n_classes = len(features), int(labels.max()) + 1
    unit = functional.normalize(features.to(torch.float32), dim=1)
    k = min(k, n_rows - 1)
    nearer = torch.arange(k, 0, -1) / (k * k + 1)  # less than a vote in all, more for the more similar
    predicted = []
    for start in range(0, n_rows, _CHUNK_ROWS):
        similarity = unit[start : start + _CHUNK_ROWS] @ unit.T
        rows = torch.arange(len(similarity))
        similarity[rows, rows + start] = -torch.inf
        voters = labels[similarity.topk(k, dim=1).indices]
        votes = torch.zeros(len(similarity), n_classes).scatter_add_(1, voters, torch.ones(voters.shape))
        closest = torch.zeros(len(similarity), n_classes).scatter_reduce_(
            1, voters, nearer.expand(voters.shape), reduce="amax"
        )
        predicted.append((votes + closest).argmax(1))
    return torch.cat(predicted)
