"""Weights under which classes count the same, however many rows each of them has."""

from collections.abc import Sequence

import torch
from torch import Tensor


def equal_weights(labels: Tensor) -> Tensor:
    """Return weights of rows under which each class that occurs counts the same, float64 (N,), their mean 1.

    Args:
        labels: int64 (N,), N at least 1.
    """
    classes, places, counts = labels.unique(return_inverse=True, return_counts=True)
    weights: Tensor = len(labels) / (len(classes) * counts.to(torch.float64))
    return weights[places]


def log_shares(counts: Sequence[int]) -> Tensor:
    """Return the logarithm of each class's share, float64 (C,).

    Args:
        counts: rows of each class, each at least 1.

    Source: the log pi of equation 10 in Menon et al. 2021, "Long-tail learning via logit adjustment", arXiv:2007.07314.
    """
    rows = torch.tensor(counts, dtype=torch.float64)
    return (rows / rows.sum()).log()
