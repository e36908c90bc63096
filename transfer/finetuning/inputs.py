"""What a network learns from, batch by batch: whole images, or what a frozen prefix makes of them, computed once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from transfer.data.batches import Augmentation, augment, normalise
from transfer.data.examples import Examples
from transfer.records import Preprocess

_EVALUATION_BATCH = 64


class Inputs(Protocol):
    """Labelled rows that a network can read."""

    @property
    def labels(self) -> Tensor:
        """Return the labels, int64 (N,)."""
        ...

    def varied(self, rows: Tensor, turn: int | Tensor, source: torch.Generator) -> Tensor:
        """Return network input for rows (int64 (n,)) as training sees them in their turn, varied.

        Args:
            rows: int64 (n,).
            turn: the epoch; int64 (n,) where a row may come more than once in it.
            source: of randomness.
        """
        ...

    def plain(self) -> Iterator[Tensor]:
        """Yield network input for all rows in order, as they are, a batch at a time."""
        ...


@dataclass(frozen=True)
class Pixels:
    """Whole images, varied anew for every update.

    Args:
        examples: prepared images and their labels.
        preprocess: of the backbone that reads them.
        augmentation: how training varies them.
    """

    examples: Examples
    preprocess: Preprocess
    augmentation: Augmentation

    @property
    def labels(self) -> Tensor:
        """Return the labels, int64 (N,)."""
        return self.examples.labels

    def varied(self, rows: Tensor, turn: int | Tensor, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return float32 (n, 3, H, W), normalised; another variation for every call."""
        return normalise(augment(self.examples.inputs[rows], source, self.augmentation), self.preprocess)

    def plain(self) -> Iterator[Tensor]:
        """Yield float32 (n, 3, H, W), normalised."""
        for batch in self.examples.inputs.split(_EVALUATION_BATCH):
            yield normalise(batch, self.preprocess)


@dataclass(frozen=True)
class Views:
    """What a frozen prefix made of several views of every image.

    Args:
        values: float16, bfloat16 or float32 (V, N, width); view 0 is the image as it is.
        labels: int64 (N,).
    """

    values: Tensor
    labels: Tensor

    def varied(self, rows: Tensor, turn: int | Tensor, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return float32 (n, width): each row in another view from turn to turn, every batch a mixture of views."""
        return self.values[(rows + turn) % len(self.values), rows].float()

    def plain(self) -> Iterator[Tensor]:
        """Yield float32 (n, width) of view 0."""
        for batch in self.values[0].split(_EVALUATION_BATCH):
            yield batch.float()
