"""Texture classes: 1/f noise, gratings, Voronoi cells and dead leaves.

Every family draws a class (spectrum, orientation, density, size of the parts) and then variants of it (another noise,
phase or placement).

Source: statistics of natural images as a pretraining set, Baradad et al. 2021, Learning to See by Looking at Noise,
arXiv:2106.05963, section 3; dead leaves, Lee, Mumford and Huang 2001, IJCV 41:35-59.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from transfer.pretraining.sampling import angle, canvas, chance, integers, normal, standardise, uniform

MAX_WAVES = 3
MAX_CELLS = 40
N_LEAVES = 40


def texture_fields(n_classes: int, n_variants: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Draw new texture classes, as many of each of the four families as K allows.

    Args:
        n_classes: number of classes K.
        n_variants: realisations of a class, V.
        size_px: side S of a field, in pixels.
        generator: the only source of randomness; its device is the result's.

    Returns:
        float32 (K, V, S, S), each field with mean 0 and standard deviation 1.
    """
    families: tuple[Callable[[int, int, int, torch.Generator], Tensor], ...] = (
        _noise,
        _gratings,
        _voronoi,
        _dead_leaves,
    )
    share, rest = divmod(n_classes, len(families))
    drawn = [family(share + (i < rest), n_variants, size_px, generator) for i, family in enumerate(families)]
    return standardise(torch.cat(drawn))


def _noise(n_classes: int, n_variants: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Filter white noise with the amplitude spectrum |f|^-a, stretched along a direction; a in [0.5, 2.2]."""
    of_class = (n_classes, 1, 1, 1)
    frequency = torch.fft.fftfreq(size_px, device=generator.device) * size_px
    fy, fx = torch.meshgrid(frequency, frequency, indexing="ij")
    direction, stretch = angle(of_class, generator), uniform(of_class, 0.0, 1.2, generator).exp()
    along = (fx * direction.cos() + fy * direction.sin()) * stretch
    across = (fy * direction.cos() - fx * direction.sin()) / stretch
    amplitude = (along**2 + across**2 + 1.0).pow(-0.5 * uniform(of_class, 0.5, 2.2, generator))
    white = normal((n_classes, n_variants, size_px, size_px), 1.0, generator)
    filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(white) * amplitude).real
    return filtered


def _gratings(n_classes: int, n_variants: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Add one to three sine waves, some of them bent by a slow wave: stripes, plaids and ripples."""
    of_class, of_variant = (n_classes, 1, 1, 1), (n_classes, n_variants, 1, 1)
    x, y = canvas(size_px, generator.device)
    n_waves = integers(of_class, 1, MAX_WAVES + 1, generator)
    total = torch.zeros(n_classes, n_variants, size_px, size_px, device=generator.device)
    for wave in range(MAX_WAVES):
        direction = angle(of_class, generator) + normal(of_variant, 0.03, generator)
        along, across = x * direction.cos() + y * direction.sin(), y * direction.cos() - x * direction.sin()
        bend = uniform(of_class, 0.0, 0.25, generator) * chance(of_class, 0.4, generator)
        bent = along + bend * (uniform(of_class, 2.0, 6.0, generator) * across + angle(of_variant, generator)).sin()
        frequency = uniform(of_class, 1.0, 3.2, generator).exp() * (1.0 + normal(of_variant, 0.03, generator))
        total = total + (wave < n_waves) * (frequency * bent + angle(of_variant, generator)).sin()
    return total


def _voronoi(n_classes: int, n_variants: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Take the distance F1 to the nearest of 6 to `MAX_CELLS` seeds, or the cells' walls F2 - F1.

    Source: Worley 1996, A Cellular Texture Basis Function, SIGGRAPH.
    """
    of_class = (n_classes, 1, 1, 1)
    x, y = canvas(size_px, generator.device)
    seeds = uniform((n_classes, n_variants, MAX_CELLS, 2), -1.1, 1.1, generator)
    counts = integers((n_classes, 1, 1, 1), 6, MAX_CELLS + 1, generator)
    unused = torch.arange(MAX_CELLS, device=generator.device) >= counts
    pixels = torch.stack([x.flatten(), y.flatten()], dim=1)
    stretch = torch.cat([torch.ones_like(counts), uniform(of_class, 0.0, 0.9, generator).exp()], dim=3)
    distance = torch.cdist(pixels * stretch, seeds * stretch)
    distance = torch.where(unused, torch.full_like(distance, 9.0), distance)
    nearest = distance.topk(2, dim=3, largest=False).values.view(n_classes, n_variants, size_px, size_px, 2)
    return torch.where(chance(of_class, 0.5, generator), nearest[..., 0], nearest[..., 1] - nearest[..., 0])


def _dead_leaves(n_classes: int, n_variants: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Drop opaque discs, diamonds and squares of one size range on one another, each with its own grey."""
    of_class, of_leaf = (n_classes, 1, 1, 1), (n_classes, n_variants, 1, 1)
    x, y = canvas(size_px, generator.device)
    exponent = torch.tensor([1.0, 2.0, 8.0], device=generator.device)[integers(of_class, 0, 3, generator)]
    size, aspect = uniform(of_class, 0.12, 0.45, generator), uniform(of_class, -0.7, 0.7, generator).exp()
    spread = uniform(of_class, 0.0, 0.5, generator)
    picture = normal(of_leaf, 1.0, generator).expand(n_classes, n_variants, size_px, size_px)
    for _ in range(N_LEAVES):
        radius = size * (1.0 + spread * normal(of_leaf, 1.0, generator)).clamp(0.4, 2.0)
        dx = (x - uniform(of_leaf, -1.0, 1.0, generator)).abs() * aspect
        dy = (y - uniform(of_leaf, -1.0, 1.0, generator)).abs() / aspect
        covered = dx**exponent + dy**exponent < radius**exponent
        picture = torch.where(covered, normal(of_leaf, 1.0, generator), picture)
    return picture
