"""Images of a bank's classes: warp a template, ink it, colour it, put it on a background, degrade it.

Every step works on the whole batch on the generator's device; the pen's thickness, the colours and the degradations are
drawn per image.

Source: elastic distortion, Simard, Steinkraus and Platt 2003, ICDAR; cut-out, DeVries and Taylor 2017,
arXiv:1708.04552.
"""

import torch
from torch import Tensor
from torch.nn import functional

from transfer.pretraining.bank import KINDS, Bank
from transfer.pretraining.sampling import chance, integers, normal, uniform

ELASTIC_CELLS = 4
ELASTIC_STD = 0.05
MAX_BLUR_PX = 2.0
MAX_NOISE_STD = 0.12
MAX_CUT_OUT_FRACTION = 0.35
LUMA = (0.299, 0.587, 0.114)


def render(bank: Bank, labels: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    """Draw one image of each label's class.

    Args:
        bank: the classes, on the generator's device.
        labels: int64 (N,), rows of the bank.
        size_px: side S of the images, in pixels.
        generator: the only source of randomness.

    Returns:
        float32 (N, 3, S, S) in [0, 1], RGB.
    """
    ink = _cut_out(_blur(_ink(bank, labels, size_px, generator), generator), generator)
    foreground, background = _colours(labels.shape[0], generator)
    behind = _background(bank, labels, background, size_px, generator)
    images = behind + ink * (foreground - behind)
    noise_std = uniform((labels.shape[0], 1, 1, 1), -MAX_NOISE_STD, MAX_NOISE_STD, generator).clamp_min(0.0)
    return (images + noise_std * normal(tuple(images.shape), 1.0, generator)).clamp(0.0, 1.0)


def _per_kind(bank: Bank, labels: Tensor, values: list[float]) -> Tensor:
    """Return each label's value of a quantity listed by kind, float32 (N, 1, 1)."""
    return torch.tensor(values, device=labels.device)[bank.kind[labels]][:, None, None]


def _between(bank: Bank, labels: Tensor, ranges: list[tuple[float, float]], generator: torch.Generator) -> Tensor:
    """Draw from each label's range of a quantity listed by kind, float32 (N, 1, 1)."""
    low, high = (_per_kind(bank, labels, list(bounds)) for bounds in zip(*ranges, strict=True))
    return low + (high - low) * uniform((labels.shape[0], 1, 1), 0.0, 1.0, generator)


def _grid(bank: Bank, labels: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    """Return where in the template each pixel looks, float32 (N, S, S, 2).

    The order is scale and aspect, shear, rotation, shift, elastic distortion.
    """
    kinds = list(KINDS.values())
    one = (labels.shape[0], 1, 1)
    window = _between(bank, labels, [kind.window for kind in kinds], generator)
    aspect = uniform(one, -0.15, 0.15, generator).exp()
    rotation = _per_kind(bank, labels, [kind.rotation for kind in kinds]) * uniform(one, -1.0, 1.0, generator)
    shear = _per_kind(bank, labels, [kind.shear for kind in kinds]) * uniform(one, -1.0, 1.0, generator)
    shift = _per_kind(bank, labels, [kind.shift for kind in kinds]) * uniform(
        (labels.shape[0], 2, 1), -1.0, 1.0, generator
    )
    cos, sin = rotation.cos(), rotation.sin()
    row_x = torch.cat([window * aspect * cos, window * (shear * cos - sin)], dim=2)
    row_y = torch.cat([window * aspect * sin, window * (shear * sin + cos)], dim=2)
    affine = torch.cat([torch.cat([row_x, row_y], dim=1), shift], dim=2)
    grid = functional.affine_grid(affine, [labels.shape[0], 1, size_px, size_px], align_corners=False)
    strength = ELASTIC_STD * uniform((labels.shape[0], 1, 1, 1), 0.0, 2.0, generator)
    coarse = strength * normal((labels.shape[0], 2, ELASTIC_CELLS, ELASTIC_CELLS), 1.0, generator)
    elastic = functional.interpolate(coarse, (size_px, size_px), mode="bicubic", align_corners=False)
    return grid + elastic.permute(0, 2, 3, 1)


def _ink(bank: Bank, labels: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    """Return the coverage of every pixel by ink, float32 (N, 1, S, S) in [0, 1]."""
    kinds = list(KINDS.values())
    variants = integers(tuple(labels.shape), 0, bank.fields.shape[1], generator)
    template = bank.fields[labels, variants][:, None]
    field = functional.grid_sample(
        template, _grid(bank, labels, size_px, generator), padding_mode="border", align_corners=False
    )
    offset = _between(bank, labels, [kind.offset for kind in kinds], generator)[..., None]
    softness = _between(bank, labels, [kind.softness for kind in kinds], generator)[..., None]
    return torch.sigmoid((field + offset) / softness)


def _blur(ink: Tensor, generator: torch.Generator) -> Tensor:
    """Blur half of the images with a Gaussian of up to `MAX_BLUR_PX`, as enlarging a small scan does."""
    n, size_px = ink.shape[0], ink.shape[-1]
    std_px = uniform((n, 1, 1), -MAX_BLUR_PX, MAX_BLUR_PX, generator).clamp_min(0.1)
    position = torch.arange(size_px, device=ink.device, dtype=torch.float32)
    kernel = (-0.5 * ((position[:, None] - position) / std_px) ** 2).exp()
    kernel = kernel / kernel.sum(dim=2, keepdim=True)
    return (kernel @ ink[:, 0] @ kernel.transpose(1, 2))[:, None]


def _cut_out(ink: Tensor, generator: torch.Generator) -> Tensor:
    """Erase the ink inside a rectangle in a quarter of the images."""
    n, size_px = ink.shape[0], ink.shape[-1]
    position = (torch.arange(size_px, device=ink.device, dtype=torch.float32) + 0.5) / size_px
    centre = uniform((n, 2, 1), 0.1, 0.9, generator)
    half_side = 0.5 * uniform((n, 2, 1), 0.1, MAX_CUT_OUT_FRACTION, generator)
    within = (position - centre).abs() < half_side * chance((n, 1, 1), 0.25, generator)
    erased = within[:, 0, :, None] & within[:, 1, None, :]
    return ink * ~erased[:, None]


def _colours(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the colours of ink and ground, each float32 (N, 3, 1, 1) in [0, 1].

    Half of the pairs are coloured; a third start from black and white, either way round.
    """
    one = (n, 1, 1, 1)
    ground, ink = uniform(one, 0.0, 1.0, generator), uniform(one, 0.0, 1.0, generator)
    ink = torch.where((ink - ground).abs() < 0.3, torch.remainder(ground + 0.5, 1.0), ink)
    extreme, dark_ground = chance(one, 0.33, generator), chance(one, 0.5, generator).float()
    ground = torch.where(extreme, 1.0 - dark_ground, ground)
    ink = torch.where(extreme, dark_ground, ink)
    coloured = chance(one, 0.5, generator).float()
    return _tint(ink, coloured, generator), _tint(ground, coloured, generator)


def _tint(luma: Tensor, coloured: Tensor, generator: torch.Generator) -> Tensor:
    """Add a random chroma of zero luma to greys (N, 1, 1, 1) where coloured is 1; returns (N, 3, 1, 1)."""
    chroma = uniform((luma.shape[0], 3, 1, 1), -0.6, 0.6, generator)
    weight = torch.tensor(LUMA, device=luma.device).view(1, 3, 1, 1)
    chroma = chroma - (weight * chroma).sum(dim=1, keepdim=True)
    return (luma + coloured * chroma).clamp(0.0, 1.0)


def _background(bank: Bank, labels: Tensor, colour: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    """Return what lies behind the ink, float32 (N, 3, S, S).

    Some images, and all of a textured kind, blend a texture in a second colour into the flat ground.
    """
    n = labels.shape[0]
    always = torch.tensor([kind.textured for kind in KINDS.values()], device=labels.device)[bank.kind[labels]]
    textured = (always | chance((n,), 0.3, generator)).nonzero()[:, 0]
    strength = uniform((textured.shape[0], 1, 1, 1), 0.15, 0.5, generator)
    texture_row = (bank.kind == list(KINDS).index("texture")).nonzero()[:, 0]
    rows = texture_row[integers((textured.shape[0],), 0, texture_row.shape[0], generator)]
    pattern = _ink(bank, rows, size_px, generator)
    second = uniform((textured.shape[0], 3, 1, 1), 0.0, 1.0, generator)
    behind = colour.expand(n, 3, size_px, size_px).clone()
    behind[textured] += strength * pattern * (second - behind[textured])
    return behind
