"""Random draws from an explicit generator, on the generator's own device."""

import math

import torch
from torch import Tensor


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw float32 numbers uniformly from [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def normal(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    """Draw float32 numbers from a normal distribution with mean 0."""
    return std * torch.randn(shape, generator=generator, device=generator.device)


def integers(shape: tuple[int, ...], low: int, high: int, generator: torch.Generator) -> Tensor:
    """Draw int64 numbers uniformly from low, ..., high - 1."""
    return torch.randint(low, high, shape, generator=generator, device=generator.device)


def chance(shape: tuple[int, ...], probability: float, generator: torch.Generator) -> Tensor:
    """Draw booleans that are true with the given probability in [0, 1]."""
    return torch.rand(shape, generator=generator, device=generator.device) < probability


def angle(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw float32 angles uniformly from [0, 2 pi), radians."""
    return uniform(shape, 0.0, 2.0 * math.pi, generator)


def canvas(size_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the x and y coordinates of the pixel centres of the canvas [-1, 1]^2, each float32 (size_px, size_px)."""
    centres = (torch.arange(size_px, device=device, dtype=torch.float32) + 0.5) * (2.0 / size_px) - 1.0
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return x, y


def standardise(fields: Tensor) -> Tensor:
    """Scale every field (..., S, S) to mean 0 and standard deviation 1; a constant field becomes 0."""
    centred = fields - fields.mean(dim=(-2, -1), keepdim=True)
    return centred / centred.std(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
