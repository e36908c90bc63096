"""What a network learns from, batch by batch: whole images, or what a frozen prefix makes of them, computed once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from transfer.data.batches import Augmentation, augment, normalise
from transfer.data.examples import Examples
from transfer.records import Preprocess

_EVALUATION_BATCH = 64
_ALL = slice(None)


class Inputs(Protocol):
    """Labelled rows that a network can read."""

    @property
    def labels(self) -> Tensor:
        """Return the labels, int64 (N,), on the processor."""
        ...

    def varied(self, rows: Tensor, turn: int | Tensor, source: torch.Generator, part: slice = _ALL) -> Tensor:
        """Return network input for a part of a batch's rows as training sees the batch in its turn, varied.

        Args:
            rows: of the whole batch, int64 (n,).
            turn: the epoch; int64 (n,) where a row may come more than once in it.
            source: of randomness.
            part: which of the rows are wanted.
        """
        ...

    def plain(self, part: slice = _ALL) -> Iterator[Tensor]:
        """Yield network input for rows in order, as they are, a batch at a time."""
        ...


def _processor() -> torch.device:
    return torch.device("cpu")


@dataclass(frozen=True)
class Pixels:
    """Whole images, varied anew for every update.

    Args:
        examples: prepared images and their labels, on the processor.
        preprocess: of the backbone that reads them.
        augmentation: how training varies them.
        device: where they are varied and normalised.
    """

    examples: Examples
    preprocess: Preprocess
    augmentation: Augmentation
    device: torch.device = field(default_factory=_processor)

    @property
    def labels(self) -> Tensor:
        """Return the labels, int64 (N,)."""
        return self.examples.labels

    def varied(
        self,
        rows: Tensor,
        turn: int | Tensor,  # noqa: ARG002
        source: torch.Generator,
        part: slice = _ALL,
    ) -> Tensor:
        """Return float32 (n, 3, H, W), normalised; another variation for every call."""
        place = part.start or 0, len(rows)
        images = moved(self.examples.inputs[rows[part]], self.device)
        return normalise(augment(images, source, self.augmentation, place), self.preprocess)

    def plain(self, part: slice = _ALL) -> Iterator[Tensor]:
        """Yield float32 (n, 3, H, W), normalised."""
        for batch in self.examples.inputs[part].split(_EVALUATION_BATCH):
            yield normalise(moved(batch, self.device), self.preprocess)


@dataclass(frozen=True)
class Views:
    """What a frozen prefix made of several views of every image.

    Args:
        values: float16, bfloat16 or float32 (V, N, width), on the processor; view 0 is the image as it is.
        labels: int64 (N,).
        device: where batches of them are wanted.
    """

    values: Tensor
    labels: Tensor
    device: torch.device = field(default_factory=_processor)

    def varied(
        self,
        rows: Tensor,
        turn: int | Tensor,
        source: torch.Generator,  # noqa: ARG002
        part: slice = _ALL,
    ) -> Tensor:
        """Return float32 (n, width): each row in another view from turn to turn, every batch a mixture of views."""
        views = ((rows + turn) % len(self.values))[part]
        return moved(self.values[views, rows[part]], self.device).float()

    def plain(self, part: slice = _ALL) -> Iterator[Tensor]:
        """Yield float32 (n, width) of view 0."""
        for batch in self.values[0][part].split(_EVALUATION_BATCH):
            yield moved(batch, self.device).float()


def moved(values: Tensor, device: torch.device) -> Tensor:
    """Return values on a device; a GPU copies them from pinned memory while the processor goes on."""
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)
