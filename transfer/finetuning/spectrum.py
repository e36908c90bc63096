"""Batch spectral shrinkage: what pretrained features hold beside the task lies in their smallest singular values.

Source: Chen, Wang, Fu, Long and Wang 2019, "Catastrophic forgetting meets negative transfer: batch spectral shrinkage
for safe transfer learning", NeurIPS 32.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

SMALLEST = 1  # how many singular values are shrunk, k of the paper


def spectral_penalty(features: Tensor, n_smallest: int = SMALLEST) -> Tensor:
    """Return the sum of the smallest squared singular values of a batch's features, a scalar.

    Features that are not finite have no singular values: their sum, which is not finite either, stands for it.

    Args:
        features: floating point (n, D), rows are images.
        n_smallest: how many of the min(n, D) singular values, at least 1.
    """
    if not bool(features.isfinite().all()):
        return features.sum()
    smallest: Tensor = torch.linalg.svdvals(features)[-n_smallest:]
    return smallest.square().sum()


def penalty_and_gradient(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the penalty on a batch's features, a scalar, and its gradient by them, (n, D); neither has a graph.

    Args:
        features: floating point (n, D), rows are images.
    """
    leaf = features.detach().requires_grad_()
    penalty = spectral_penalty(leaf)
    (gradient,) = torch.autograd.grad(penalty, leaf)
    return penalty.detach(), gradient


@contextmanager
def features_seen(head: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that takes the features (n, D) of every pass through a head."""
    seen: list[Tensor] = []

    def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0])

    handle = head.register_forward_pre_hook(look)
    try:
        yield seen
    finally:
        handle.remove()
