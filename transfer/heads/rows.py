"""Rows that a head is fitted to: what they must be, how they are scaled, and folds in which each is held out once."""

import torch
from torch import Tensor

from transfer.errors import UserError
from transfer.randomness import generator

_LEAST_SCALE, _LEAST_SHARE = 1e-8, 1e-6  # what varies less is rounding


def require_fittable(features: Tensor, labels: Tensor, n_classes: int) -> None:
    """Refuse rows that no head can be fitted to.

    Args:
        features: float (N, D).
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.

    Raises:
        UserError: a class has no row, or a feature is not finite.
    """
    missing = sorted(set(range(n_classes)) - set(labels.unique().tolist()))
    if missing:
        raise UserError(f"Class {missing[0]} has no training row; every class needs at least one.")
    if not bool(torch.isfinite(features).all()):
        raise UserError("The backbone gives features that are not finite numbers; choose other weights.")


def standardiser(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and scales, float64 (D,); a feature that hardly varies gets an infinite scale, and so no weight."""
    wide = features.double()
    scale = wide.std(0, correction=0)
    return wide.mean(0), torch.where(scale > _LEAST_SCALE + _LEAST_SHARE * wide.mean(0).abs(), scale, torch.inf)


def class_shares(labels: Tensor, n_classes: int, weights: Tensor | None = None) -> Tensor:
    """Return each class's share of the rows, or of their weights (N,), float32 (n_classes,)."""
    counted = torch.bincount(labels, weights, minlength=n_classes).float()
    return counted / counted.sum()


def folds(labels: Tensor, n_folds: int, seed: int) -> tuple[Tensor, ...]:
    """Deal rows to folds, class by class, so that every class has rows outside every fold.

    Args:
        labels: int64 (N,).
        n_folds: at least 2, at most that many are returned.
        seed: of the order in which rows are dealt.

    Returns:
        Indices of the rows that each fold holds out, none of them empty. The row of a class that has no other is held
        out by none; without a class of two rows there is no fold.
    """
    shuffled = torch.randperm(len(labels), generator=generator(seed, "folds"))
    fold_of = torch.full_like(labels, -1)
    dealt = 0
    for label in labels.unique():
        rows = shuffled[labels[shuffled] == label]
        if len(rows) > 1:
            fold_of[rows] = (torch.arange(len(rows)) + dealt) % n_folds
            dealt += len(rows)
    held_out = (torch.nonzero(fold_of == fold).flatten() for fold in range(n_folds))
    return tuple(rows for rows in held_out if len(rows))
