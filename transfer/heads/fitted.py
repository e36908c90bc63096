"""What a fit gives: a head, and what fits without a row say of it."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Fitted:
    """A head that was fitted to rows.

    Args:
        head: features (N, D) -> logits (N, C), calibrated by rows that its fits did not see.
        held_out: float64 (N, C), logits of each row by a fit that did not see it; all equal where there is none, as for
            the only row of a class in folds.
        sharpness: the inverse temperature that is in both; None where something is added to the logits after it.
    """

    head: nn.Module
    held_out: Tensor
    sharpness: float | None
