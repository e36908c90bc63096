"""Glyph classes: one to four connected strokes, as in the characters of a script.

A class is a set of strokes, each a cubic Bezier curve or an arc of an ellipse. A variant moves the class's control
points a little, as a second writer would. The field is minus the distance to the nearest stroke, so that a threshold
chosen later sets the thickness of the pen.

Source: characters as programs of strokes, Lake, Salakhutdinov and Tenenbaum 2015, Science 350(6266):1332-1338.
"""

import math

import torch
from torch import Tensor

from transfer.pretraining.sampling import angle, canvas, chance, integers, normal, uniform

MAX_STROKES = 4
POINTS_PER_STROKE = 32
STROKE_COUNTS = (1, 1, 1, 2, 2, 2, 3, 3, 4)
VARIANT_STD = 0.06
EXTENT = 0.75


def glyph_fields(n_classes: int, n_variants: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Draw new glyph classes and several variants of each.

    Args:
        n_classes: number of classes K.
        n_variants: handwritings of a class, V.
        size_px: side S of a field, in pixels.
        generator: the only source of randomness; its device is the result's.

    Returns:
        float32 (K, V, S, S): minus the distance to the nearest stroke, in half canvas widths.
    """
    points = _points(n_classes, n_variants, generator)
    x, y = canvas(size_px, points.device)
    pixels = torch.stack([x.flatten(), y.flatten()], dim=1)
    nearest = [torch.cdist(pixels.expand(n_variants, -1, -1), of_class).amin(dim=2) for of_class in points]
    return -torch.stack(nearest).view(n_classes, n_variants, size_px, size_px)


def _points(n_classes: int, n_variants: int, generator: torch.Generator) -> Tensor:
    """Return points on the strokes, float32 (K, V, P, 2); unused strokes repeat the first."""
    per_stroke = (n_classes, 1, MAX_STROKES, 1, 1)
    is_arc = chance(per_stroke, 0.4, generator)
    curves = torch.where(is_arc, _arcs(n_classes, n_variants, generator), _beziers(n_classes, n_variants, generator))
    counts = torch.tensor(STROKE_COUNTS, device=generator.device)[
        integers((n_classes,), 0, len(STROKE_COUNTS), generator)
    ]
    used = torch.arange(MAX_STROKES, device=generator.device) < counts[:, None]
    curves = torch.where(used[:, None, :, None, None], curves, curves[:, :, :1])
    return _fit(curves.flatten(2, 3))


def _fit(points: Tensor) -> Tensor:
    """Centre every class of points (K, V, P, 2) on the canvas and scale it, aspect kept, to a half side of `EXTENT`."""
    low, high = points.amin(dim=(1, 2), keepdim=True), points.amax(dim=(1, 2), keepdim=True)
    half_side = (0.5 * (high - low)).amax(dim=3, keepdim=True).clamp_min(1e-3)
    return (points - 0.5 * (low + high)) * (EXTENT / half_side)


def _beziers(n_classes: int, n_variants: int, generator: torch.Generator) -> Tensor:
    """Return cubic Bezier curves, float32 (K, V, MAX_STROKES, POINTS_PER_STROKE, 2).

    B(t) = (1-t)^3 c0 + 3 (1-t)^2 t c1 + 3 (1-t) t^2 c2 + t^3 c3. About a third are straight; most begin where
    the one before ended.
    """
    control = uniform((n_classes, MAX_STROKES, 4, 2), -EXTENT, EXTENT, generator)
    joined = chance((n_classes, MAX_STROKES, 1), 0.6, generator)
    for stroke in range(1, MAX_STROKES):
        control[:, stroke, 0] = torch.where(joined[:, stroke], control[:, stroke - 1, 3], control[:, stroke, 0])
    chord = control[:, :, 3] - control[:, :, 0]
    straight = chance((n_classes, MAX_STROKES, 1), 0.3, generator)
    for inner in (1, 2):
        control[:, :, inner] = torch.where(straight, control[:, :, 0] + chord * (inner / 3.0), control[:, :, inner])
    control = control[:, None] + normal((n_classes, n_variants, MAX_STROKES, 4, 2), VARIANT_STD, generator)
    t = torch.linspace(0.0, 1.0, POINTS_PER_STROKE, device=generator.device)[:, None]
    basis = torch.cat([(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3], dim=1)
    return basis @ control


def _arcs(n_classes: int, n_variants: int, generator: torch.Generator) -> Tensor:
    """Return arcs of ellipses, closed or open, float32 (K, V, MAX_STROKES, POINTS_PER_STROKE, 2)."""
    of_class = (n_classes, 1, MAX_STROKES, 1)
    of_variant = (n_classes, n_variants, MAX_STROKES, 1)
    centre_x = uniform(of_class, -0.35, 0.35, generator) + normal(of_variant, VARIANT_STD, generator)
    centre_y = uniform(of_class, -0.45, 0.45, generator) + normal(of_variant, VARIANT_STD, generator)
    radius_x = uniform(of_class, 0.18, 0.55, generator) * (1.0 + normal(of_variant, 2 * VARIANT_STD, generator))
    radius_y = uniform(of_class, 0.18, 0.55, generator) * (1.0 + normal(of_variant, 2 * VARIANT_STD, generator))
    tilt = uniform(of_class, -0.8, 0.8, generator) + normal(of_variant, 2 * VARIANT_STD, generator)
    start = angle(of_class, generator) + normal(of_variant, 2 * VARIANT_STD, generator)
    open_sweep = uniform(of_class, 0.5 * math.pi, 1.75 * math.pi, generator) * (
        1.0 + normal(of_variant, VARIANT_STD, generator)
    )
    sweep = torch.where(chance(of_class, 0.4, generator), torch.full_like(open_sweep, 2.0 * math.pi), open_sweep)
    phase = start + sweep * torch.linspace(0.0, 1.0, POINTS_PER_STROKE, device=generator.device)
    along, across = radius_x * phase.cos(), radius_y * phase.sin()
    x = centre_x + along * tilt.cos() - across * tilt.sin()
    y = centre_y + along * tilt.sin() + across * tilt.cos()
    return torch.stack([x, y], dim=-1)
