"""Fractal classes: attractors of random iterated function systems.

A class is N affine maps x -> A_i x + b_i with contractive A_i = R(alpha) diag(s1, s2) R(beta) diag(+-1, +-1); its
picture is the density of the chaos game, where every point is moved by a map drawn in proportion to |det A_i|. A
variant perturbs the maps.

Source: Kataoka et al. 2020, Pre-training without Natural Images, arXiv:2101.08515, section 3; maps drawn by their
singular values, Anderson and Farrell 2022, Improving Fractal Pre-training, arXiv:2110.03091, section 3.2.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from transfer.pretraining.sampling import angle, chance, integers, normal, uniform

MAX_MAPS = 4
N_POINTS = 512
N_ITERATIONS = 32
BURN_IN = 8
VARIANT_STD = 0.03


def fractal_fields(n_classes: int, n_variants: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Draw new fractal classes and several variants of each.

    Args:
        n_classes: number of classes K.
        n_variants: perturbations of a class, V.
        size_px: side S of a field, in pixels.
        generator: the only source of randomness; its device is the result's.

    Returns:
        float32 (K, V, S, S) in [0, 1]: the logarithm of the attractor's density, relative to its maximum.
    """
    matrices, shifts, weights = _maps(n_classes, n_variants, generator)
    orbit = _chaos_game(matrices.flatten(0, 1), shifts.flatten(0, 1), weights.flatten(0, 1), generator)
    orbit = orbit - orbit.mean(dim=1, keepdim=True)
    orbit = 0.4 * orbit / orbit.std(dim=1, keepdim=True).amax(dim=2, keepdim=True).clamp_min(1e-6)
    cell = ((orbit.clamp(-0.99, 0.99) + 1.0) * (size_px / 2.0)).long()
    index = cell[..., 1] * size_px + cell[..., 0]
    density = torch.zeros(index.shape[0], size_px * size_px, device=index.device)
    density.scatter_add_(1, index, torch.ones_like(index, dtype=torch.float32))
    smooth = functional.avg_pool2d(density.view(-1, 1, size_px, size_px), 3, 1, 1).log1p()
    return (smooth / smooth.amax(dim=(2, 3), keepdim=True)).view(n_classes, n_variants, size_px, size_px)


def _maps(n_classes: int, n_variants: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return linear parts (K, V, M, 2, 2), shifts (K, V, M, 2) and probabilities (K, V, M) of every variant's maps."""
    of_class, of_variant = (n_classes, 1, MAX_MAPS), (n_classes, n_variants, MAX_MAPS)
    left = angle(of_class, generator) + normal(of_variant, VARIANT_STD, generator)
    right = angle(of_class, generator) + normal(of_variant, VARIANT_STD, generator)
    scale = uniform((*of_class, 2), 0.3, 0.85, generator) + normal((*of_variant, 2), VARIANT_STD, generator)
    sign = 1.0 - 2.0 * chance((*of_class, 2), 0.3, generator).float()
    diagonal = torch.diag_embed(scale.clamp(0.2, 0.9))
    matrices = _rotation(left) @ diagonal @ _rotation(right) @ torch.diag_embed(sign.expand_as(scale))
    shifts = uniform((*of_class, 2), -1.0, 1.0, generator) + normal((*of_variant, 2), VARIANT_STD, generator)
    counts = integers((n_classes, 1, 1), 2, MAX_MAPS + 1, generator)
    used = torch.arange(MAX_MAPS, device=generator.device) < counts
    weights = scale.prod(dim=3).abs() * used
    return matrices, shifts, weights / weights.sum(dim=2, keepdim=True)


def _rotation(radians: Tensor) -> Tensor:
    """Return rotation matrices (..., 2, 2) for angles (...)."""
    cos, sin = radians.cos(), radians.sin()
    return torch.stack([torch.stack([cos, -sin], dim=-1), torch.stack([sin, cos], dim=-1)], dim=-2)


def _chaos_game(matrices: Tensor, shifts: Tensor, weights: Tensor, generator: torch.Generator) -> Tensor:
    """Return the points visited after the burn-in, float32 (B, P, 2), for B function systems.

    P is `N_POINTS` times the iterations after the burn-in.
    """
    n_systems = matrices.shape[0]
    points = normal((n_systems, N_POINTS, 2), 1.0 / math.sqrt(2.0), generator)
    rows = torch.arange(n_systems, device=matrices.device)[:, None]
    visited = []
    for iteration in range(N_ITERATIONS):
        chosen = torch.multinomial(weights, N_POINTS, replacement=True, generator=generator)
        points = (matrices[rows, chosen] @ points[..., None])[..., 0] + shifts[rows, chosen]
        if iteration >= BURN_IN:
            visited.append(points)
    return torch.cat(visited, dim=1)
