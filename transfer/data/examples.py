"""Prepared examples with their labels."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Examples as a backbone's preprocessing made them.

    Args:
        inputs: uint8 (N, C, H, W).
        labels: int64 (N,).
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return N."""
        return len(self.labels)
