"""The features of labelled rows, decomposed once for every score that is a function of their second moments."""

from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.errors import UserError
from transfer.metrics.ridge import Principal
from transfer.selection.checks import memberships, require_finite


@dataclass(frozen=True)
class Decomposition:
    """Centred features F = U S V', what they were centred at, and the classes of their rows.

    Almost every score that needs no training is a function of U, S and the labels, so that one decomposition of the
    features serves them all; LogME, which does not centre, follows from it too. Squares are decomposed: a direction
    weaker than a ten-millionth of the strongest one is lost in rounding and counts as absent.

    Args:
        mean: of the features, float64 (D,).
        centred: features less their mean, float64 (N, D).
        principal: U S and S^2, the weakest direction first.
        rank: directions whose power is above rounding, at most min(N - 1, D).
        labels: int64 (N,).
        targets: one-hot float64 (N, C), of the C classes that have rows, at least two, in their order.
    """

    mean: Tensor
    centred: Tensor
    principal: Principal
    rank: int
    labels: Tensor
    targets: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor) -> "Decomposition":
        """Decompose features, in O(N D min(N, D)) and 16 N D bytes.

        Args:
            features: finite float (N, D), N at least 2.
            labels: int64 (N,), of two or more classes.

        Raises:
            UserError: fewer than two rows, a feature that is not finite, another number of labels than rows, or fewer
                than two classes.
        """
        if features.ndim != 2 or len(features) < 2 or not features.shape[1]:
            raise UserError(
                f"Features of shape {tuple(features.shape)} cannot be scored; at least 2 rows of at least 1 are needed."
            )
        require_finite(features)
        targets = memberships(labels, len(features))
        rows = features.to(torch.float64)
        mean = rows.mean(0)
        centred = rows - mean
        principal = Principal.of(centred)
        # What is left of the mean's rounding, and of the squares'.
        floor = max(rows.shape) * torch.finfo(torch.float64).eps
        smallest = floor * max(float(principal.power[-1]), floor * float(rows.square().sum()))
        rank = min(int((principal.power > smallest).sum()), len(rows) - 1)
        return cls(mean, centred, principal, rank, labels, targets)

    @property
    def n_rows(self) -> int:
        """Return N."""
        return self.centred.shape[0]

    @property
    def width(self) -> int:
        """Return D."""
        return self.centred.shape[1]

    def leading(self, most: int | None = None) -> tuple[Tensor, Tensor]:
        """Return components U S, float64 (N, k), and power S^2, float64 (k,), of the strongest directions.

        Args:
            most: k is at most this; all directions above rounding when None.
        """
        kept = self.rank if most is None else min(most, self.rank)
        first = len(self.principal.power) - kept
        return self.principal.components[:, first:], self.principal.power[first:]
