"""Weights under which classes count the same, however many rows each of them has."""

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
