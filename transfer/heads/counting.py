"""How rows of unequal classes count: in a fit, where a fit is judged, and in its logits."""

from dataclasses import dataclass

from torch import Tensor

from transfer.metrics.class_weights import equal_weights, log_shares
from transfer.records import REMEDIES, ClassBalance

_, _WEIGHTS, _SAMPLING, _LOGITS = REMEDIES


@dataclass(frozen=True)
class Counting:
    """How rows count.

    Args:
        fitting: what multiplies the loss of each row in a fit, float64 (N,); None where all count the same. Sampling,
            in expectation, does what weights do.
        judging: the same where rows that a fit did not see judge it.
        offset: what is added to logits, float64 (C,); None where nothing is.
    """

    fitting: Tensor | None = None
    judging: Tensor | None = None
    offset: Tensor | None = None

    def told(self, sharpness: float) -> float | None:
        """Return an inverse temperature that logits can be divided by; None where they have an offset."""
        return sharpness if self.offset is None else None

    def moved(self, logits: Tensor) -> Tensor:
        """Return logits (N, C) or a bias (C,) with the offset."""
        return logits if self.offset is None else logits + self.offset.to(logits)


def counting_of(labels: Tensor, n_classes: int, balance: ClassBalance | None) -> Counting:
    """Return how rows count.

    Args:
        labels: int64 (N,), every class at least once.
        n_classes: at least 2.
        balance: what is done about unequal classes; nothing when None.
    """
    if balance is None:
        return Counting()
    return Counting(
        equal_weights(labels) if balance.remedy in (_WEIGHTS, _SAMPLING) else None,
        equal_weights(labels) if balance.equally else None,
        -log_shares(labels.bincount(minlength=n_classes).tolist()) if balance.remedy == _LOGITS else None,
    )
