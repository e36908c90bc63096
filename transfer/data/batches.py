"""Turn batches of pixels into network input, and vary them for training."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transfer.data.trivial_augment import trivial_augment
from transfer.records import Preprocess

_ASPECT_RANGE = (3.0 / 4.0, 4.0 / 3.0)


def normalise(examples: Tensor, preprocess: Preprocess) -> Tensor:
    """Scale pixels to [0, 1], subtract the mean, divide by the standard deviation, a channel at a time.

    Args:
        examples: uint8 (N, 3, H, W), RGB.
        preprocess: mean and standard deviation in [0, 1].

    Returns:
        float32 (N, 3, H, W), channels last in memory, which convolutions on a processor run on soonest.
    """
    mean = torch.tensor(preprocess.mean, device=examples.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocess.std, device=examples.device).view(1, 3, 1, 1)
    pixels = examples.to(torch.float32, memory_format=torch.channels_last)
    return pixels.div_(255.0).sub_(mean).div_(std)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How examples are varied while a network trains on them.

    Args:
        min_area: smallest share of the image a crop may cover, in (0, 1]; 1 switches cropping off.
        flip_probability: of mirroring left and right, in [0, 1]; 0 switches it off.
        trivial: whether TrivialAugment follows.
    """

    min_area: float = 0.7
    flip_probability: float = 0.0
    trivial: bool = False


def augment(
    examples: Tensor, generator: torch.Generator, augmentation: Augmentation, place: tuple[int, int] | None = None
) -> Tensor:
    """Crop every image at random, enlarge the crop to the full size and mirror it with some probability.

    Args:
        examples: uint8 (N, C, H, W); three channels for TrivialAugment.
        generator: on the CPU; the only source of randomness.
        augmentation: how much.
        place: of `examples` in a larger batch, its first row and the rows of that batch: they are varied as they would
            be within it. The whole batch when None.

    Returns:
        uint8 (N, C, H, W); `examples` itself when all are off.

    Source: Szegedy et al., "Going Deeper with Convolutions", 2015, section 6 (crop area and aspect ratio).
    """
    first, n_rows = place or (0, len(examples))
    moved = _moved(examples, generator, augmentation, first, n_rows)
    return trivial_augment(moved, generator, place) if augmentation.trivial else moved


def _moved(examples: Tensor, generator: torch.Generator, augmentation: Augmentation, first: int, n_rows: int) -> Tensor:
    if augmentation.min_area == 1.0 and augmentation.flip_probability == 0.0:
        return examples
    extent = _crop_extent(n_rows, augmentation.min_area, generator)
    centre = (torch.rand((n_rows, 2), generator=generator) * 2.0 - 1.0) * (1.0 - extent)
    mirrored = torch.rand(n_rows, generator=generator) < augmentation.flip_probability
    theta = torch.zeros((n_rows, 2, 3))
    theta[:, 0, 0] = torch.where(mirrored, -extent[:, 0], extent[:, 0])
    theta[:, 1, 1] = extent[:, 1]
    theta[:, :, 2] = centre
    theta = theta[first : first + len(examples)]
    grid = functional.affine_grid(theta.to(examples.device), list(examples.shape), align_corners=False)
    sampled = functional.grid_sample(
        examples.to(torch.float32), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.round_().clamp_(0.0, 255.0).to(torch.uint8)


def _crop_extent(n_images: int, min_area: float, generator: torch.Generator) -> Tensor:
    """Draw the width and height of each crop as shares of the image, (N, 2) in (0, 1]."""
    if min_area == 1.0:
        return torch.ones((n_images, 2))
    area = torch.rand(n_images, generator=generator) * (1.0 - min_area) + min_area
    low, high = (math.log(ratio) for ratio in _ASPECT_RANGE)
    aspect = torch.exp(torch.rand(n_images, generator=generator) * (high - low) + low)
    return torch.stack(((area * aspect).sqrt(), (area / aspect).sqrt()), dim=1).clamp(max=1.0)


def pooled_pixels(examples: Tensor, side_px: int = 16) -> Tensor:
    """Return the pixels of small grey copies, a row an image: what can be known without any network.

    Args:
        examples: uint8 (N, C, H, W).
        side_px: side of the copies.

    Returns:
        float32 (N, side_px * side_px), in [0, 1].
    """
    grey = examples.to(torch.float32).mean(dim=1, keepdim=True).div_(255.0)
    return functional.adaptive_avg_pool2d(grey, min(side_px, examples.shape[-1])).flatten(1)
