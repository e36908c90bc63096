"""TrivialAugment: every image changed by one operation, drawn like its strength at random; nothing to tune.

Source: Müller and Hutter 2021, "TrivialAugment: tuning-free yet state-of-the-art data augmentation", arXiv:2103.10158,
section 3, wide strengths. Translations are shares of the side instead of pixels, so that small images stay in sight.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

_N_STRENGTHS = 31
_MOST_SHEAR = 0.99
_MOST_SHIFT = 1 / 7  # of the side: 32 of 224 pixels
_MOST_ANGLE = math.radians(135.0)
_MOST_BLEND = 0.99
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

Change = Callable[
    [Tensor, Tensor], Tensor
]  # float (n, 3, H, W) in 0 to 255, strengths (n,) in [-1, 1] -> the same shape


def trivial_augment(examples: Tensor, source: torch.Generator, place: tuple[int, int] | None = None) -> Tensor:
    """Change every image by one operation.

    Args:
        examples: uint8 (N, 3, H, W), RGB.
        source: on the CPU; the only source of randomness.
        place: of `examples` in a larger batch, its first row and the rows of that batch; the whole batch when None.

    Returns:
        uint8 (N, 3, H, W).
    """
    first, n_rows = place or (0, len(examples))
    own = slice(first, first + len(examples))
    chosen = torch.randint(len(OPERATIONS), (n_rows,), generator=source)[own]
    sizes = torch.randint(_N_STRENGTHS, (n_rows,), generator=source) / (_N_STRENGTHS - 1)
    strengths = torch.where(torch.rand(n_rows, generator=source) < 0.5, -sizes, sizes)[own]
    made = examples.clone()
    for number, change in enumerate(OPERATIONS.values()):
        rows = (chosen == number).nonzero().flatten().to(examples.device)
        if len(rows):
            changed = change(examples[rows].float(), strengths.to(examples.device)[rows])
            made[rows] = changed.round_().clamp_(0.0, 255.0).to(torch.uint8)
    return made


def _identity(images: Tensor, strengths: Tensor) -> Tensor:  # noqa: ARG001
    return images


def _moved(images: Tensor, theta: Tensor) -> Tensor:
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _theta(strengths: Tensor) -> Tensor:
    return torch.eye(2, 3, device=strengths.device).repeat(len(strengths), 1, 1)


def _shear_x(images: Tensor, strengths: Tensor) -> Tensor:
    theta = _theta(strengths)
    theta[:, 0, 1] = _MOST_SHEAR * strengths * images.shape[2] / images.shape[3]
    return _moved(images, theta)


def _shear_y(images: Tensor, strengths: Tensor) -> Tensor:
    theta = _theta(strengths)
    theta[:, 1, 0] = _MOST_SHEAR * strengths * images.shape[3] / images.shape[2]
    return _moved(images, theta)


def _translate_x(images: Tensor, strengths: Tensor) -> Tensor:
    theta = _theta(strengths)
    theta[:, 0, 2] = 2 * _MOST_SHIFT * strengths  # the grid is two units wide
    return _moved(images, theta)


def _translate_y(images: Tensor, strengths: Tensor) -> Tensor:
    theta = _theta(strengths)
    theta[:, 1, 2] = 2 * _MOST_SHIFT * strengths
    return _moved(images, theta)


def _rotate(images: Tensor, strengths: Tensor) -> Tensor:
    angles, ratio = _MOST_ANGLE * strengths, images.shape[2] / images.shape[3]
    theta = _theta(strengths)
    theta[:, 0, 0], theta[:, 0, 1] = angles.cos(), angles.sin() * ratio
    theta[:, 1, 0], theta[:, 1, 1] = -angles.sin() / ratio, angles.cos()
    return _moved(images, theta)


def _blend(images: Tensor, others: Tensor, strengths: Tensor) -> Tensor:
    share = (1 + _MOST_BLEND * strengths).view(-1, 1, 1, 1)
    return (share * images + (1 - share) * others).clamp(0.0, 255.0)


def _grey(images: Tensor) -> Tensor:
    luma = torch.tensor(_LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * luma).sum(1, keepdim=True)


def _brightness(images: Tensor, strengths: Tensor) -> Tensor:
    return _blend(images, torch.zeros_like(images), strengths)


def _color(images: Tensor, strengths: Tensor) -> Tensor:
    return _blend(images, _grey(images), strengths)


def _contrast(images: Tensor, strengths: Tensor) -> Tensor:
    return _blend(images, _grey(images).mean((1, 2, 3), keepdim=True), strengths)


def _sharpness(images: Tensor, strengths: Tensor) -> Tensor:
    if min(images.shape[2:]) < 3:
        return images
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5.0
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = functional.conv2d(images, (kernel / 13).expand(3, 1, 3, 3), groups=3)
    return _blend(images, smooth, strengths)


def _posterize(images: Tensor, strengths: Tensor) -> Tensor:
    steps = 2.0 ** (6 * strengths.abs()).round().view(-1, 1, 1, 1)  # 8 bits a channel down to 2
    return (images / steps).floor() * steps


def _solarize(images: Tensor, strengths: Tensor) -> Tensor:
    threshold = (255 * (1 - strengths.abs())).view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 255 - images, images)


def _autocontrast(images: Tensor, strengths: Tensor) -> Tensor:  # noqa: ARG001
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = high <= low
    return torch.where(flat, images, (images - low) * 255 / torch.where(flat, torch.ones_like(low), high - low))


def _equalize(images: Tensor, strengths: Tensor) -> Tensor:  # noqa: ARG001
    """Spread the grey levels of every channel evenly, as Pillow does."""
    channels = images.long().flatten(0, 1).flatten(1)
    counts = torch.zeros(len(channels), 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, channels, torch.ones_like(channels))
    last = 255 - (counts.flip(1) > 0).int().argmax(1)
    step = (counts.sum(1) - counts.gather(1, last[:, None])[:, 0]) // 255
    table = (counts.cumsum(1) - counts + (step // 2)[:, None]) // step.clamp_min(1)[:, None]
    table = torch.where((step == 0)[:, None], torch.arange(256, device=images.device), table.clamp(0, 255))
    return table.gather(1, channels).float().view_as(images)


OPERATIONS: dict[str, Change] = {
    "identity": _identity,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
