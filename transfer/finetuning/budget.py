"""How long a step of fine-tuning may last and how it learns."""

import math
from dataclasses import dataclass, field

from torch import Tensor

from transfer.data.batches import Augmentation

_SMALLEST_BATCH, _LARGEST_BATCH, _UPDATES_A_PASS = 8, 64, 8


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a step may last and how it learns.

    Args:
        max_images: training images the step may see.
        epochs: passes over the training rows, at most.
        batch_size: at least 2.
        weight_decay: AdamW's.
        label_smoothing: in [0, 1).
        patience: epochs in a row without a new lowest validation NLL, below the one before the step, that end it; None:
            it never ends early.
        augmentation: how examples are varied.
        anchor: L2-SP's weight of the distance between the trunk and where it began, at least 0.
        bss: weight of batch spectral shrinkage, see `transfer.finetuning.spectrum`, at least 0.
        at_once: images that go through the network at once, at most; a batch of more is made of several such parts,
            whose gradients are added. All of a batch when None.
    """

    max_images: int
    epochs: int
    batch_size: int
    weight_decay: float
    label_smoothing: float
    patience: int | None = 3
    augmentation: Augmentation = field(default_factory=Augmentation)
    anchor: float = 0.0
    bss: float = 0.0
    at_once: int | None = None

    def n_images(self, n_train: int) -> int:
        """Return how many images a step sees, at most, on a training set of `n_train`."""
        return sum(self.epoch_sizes(n_train))

    def epoch_sizes(self, n_train: int) -> tuple[int, ...]:
        """Return the images of each epoch: whole passes over `n_train`, then what the budget leaves of another.

        A single image is no epoch of its own: batch norm cannot take it.
        """
        whole, rest = divmod(min(self.max_images, self.epochs * n_train), n_train)
        return (n_train,) * whole + ((rest,) if rest > 1 else ())


def batch_sizes(n_train: int) -> tuple[int, ...]:
    """Return batch sizes worth having, doubling: what suits memory is the largest of them that fits.

    From 8 images on a processor is as fast an image as it gets; beyond 64, or with fewer than eight updates a pass over
    the training rows, a step of a few passes makes too few updates for its warm-up and its moving average.

    Args:
        n_train: training rows.
    """
    most = max(_SMALLEST_BATCH, min(_LARGEST_BATCH, n_train // _UPDATES_A_PASS))
    return tuple(_SMALLEST_BATCH << doubling for doubling in range((most // _SMALLEST_BATCH).bit_length()))


def batches(rows: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Split rows (n,) into batches of about equal size: none of a single image, none larger than asked.

    Of an odd number in pairs one is of three.
    """
    return rows.tensor_split(n_batches(len(rows), batch_size))


def n_batches(n_images: int, batch_size: int) -> int:
    """Return into how many batches `batches` splits."""
    return max(1, min(math.ceil(n_images / batch_size), n_images // 2))
