"""Contour classes: filled, outlined and hollow radial shapes and polygons.

In polar coordinates the boundary of a class is a regular polygon or a circle, times a short Fourier series: r(theta) =
r0 p_n(theta) (1 + sum_k a_k cos(k theta + phi_k)), with p_n(theta) = cos(pi / n) / cos((theta mod 2 pi / n) - pi / n).

Source: radial contours as a pretraining set, Kataoka et al. 2022, Replacing Labeled Real-image Datasets with
Auto-generated Contours, arXiv:2206.09132, section 3.
"""

import math

import torch
from torch import Tensor

from transfer.pretraining.sampling import angle, canvas, chance, integers, normal, uniform

HARMONICS = 6
MAX_CORNERS = 7
SMOOTH_CORNERS = 64
VARIANT_STD = 0.05


def contour_fields(n_classes: int, n_variants: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Draw new contour classes and several variants of each.

    Args:
        n_classes: number of classes K.
        n_variants: shapes of a class, V.
        size_px: side S of a field, in pixels.
        generator: the only source of randomness; its device is the result's.

    Returns:
        float32 (K, V, S, S): radial distance to the boundary in half canvas widths, positive where there is ink.
    """
    of_class, of_variant = (n_classes, 1, 1, 1), (n_classes, n_variants, 1, 1)
    x, y = canvas(size_px, generator.device)
    aspect = (uniform(of_class, -0.3, 0.3, generator) + normal(of_variant, VARIANT_STD, generator)).exp()
    stretched_x, stretched_y = x * aspect, y / aspect
    rho = (stretched_x**2 + stretched_y**2).sqrt()
    theta = (
        torch.atan2(stretched_y, stretched_x)
        + angle(of_class, generator)
        + normal(of_variant, 2 * VARIANT_STD, generator)
    )
    radius = uniform(of_class, 0.5, 0.7, generator) * (1.0 + normal(of_variant, VARIANT_STD, generator))
    inside = radius * _boundary(theta, n_classes, n_variants, generator) - rho
    half_width = uniform(of_class, 0.06, 0.14, generator)
    outlined = chance(of_class, 0.35, generator)
    hollow = chance(of_class, 0.25, generator)
    hole = rho - uniform(of_class, 0.12, 0.28, generator)
    filled = torch.where(hollow, torch.minimum(inside, hole), inside)
    return torch.where(outlined, half_width - inside.abs(), filled)


def _boundary(theta: Tensor, n_classes: int, n_variants: int, generator: torch.Generator) -> Tensor:
    """Return the boundary's radius relative to r0 at the angles theta (K, V, S, S), radians."""
    of_class, of_variant = (n_classes, 1, 1, 1), (n_classes, n_variants, 1, 1)
    corners = integers(of_class, 3, MAX_CORNERS + 1, generator)
    corners = torch.where(chance(of_class, 0.5, generator), corners, torch.full_like(corners, SMOOTH_CORNERS))
    half = math.pi / corners
    polygon = half.cos() / (torch.remainder(theta, 2 * half) - half).cos()
    series = torch.ones_like(theta)
    present = chance((HARMONICS, *of_class), 0.5, generator)
    for k in range(1, HARMONICS + 1):
        amplitude = uniform(of_class, 0.1, 0.5, generator) * present[k - 1] + normal(of_variant, 0.02, generator)
        phase = angle(of_class, generator) + normal(of_variant, 2 * VARIANT_STD, generator)
        series = series + amplitude * (k * theta + phase).cos() / math.sqrt(k)
    return polygon * series.clamp(0.15, 1.5)
