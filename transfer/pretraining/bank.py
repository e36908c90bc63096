"""The bank of procedural classes: several template fields of every class, drawn once and rendered without end.

A field is a height over the canvas; where it exceeds a threshold there is ink. Rendering (`render.py`) draws the
threshold, so that the thickness of a stroke or the coverage of a texture varies without a new template.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.errors import UserError
from transfer.pretraining.contours import contour_fields
from transfer.pretraining.fractals import fractal_fields
from transfer.pretraining.glyphs import glyph_fields
from transfer.pretraining.textures import texture_fields

FieldSource = Callable[[int, int, int, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Kind:
    """How the fields of a kind of class become images.

    Args:
        fields: draws the templates.
        offset: range of what is added to the field before the threshold at 0, in units of the field.
        softness: range of the width of the edge, in units of the field.
        window: range of the side of the part that an image shows, relative to the template's.
        shift: largest shift of that part, in half template widths.
        rotation: largest rotation, radians.
        shear: largest shear.
        textured: always on a textured background.
    """

    fields: FieldSource
    offset: tuple[float, float]
    softness: tuple[float, float]
    window: tuple[float, float]
    shift: float
    rotation: float
    shear: float
    textured: bool = False


KINDS: dict[str, Kind] = {
    "glyph": Kind(glyph_fields, (0.05, 0.2), (0.015, 0.05), (0.8, 1.3), 0.15, 0.3, 0.25),
    "contour": Kind(contour_fields, (-0.05, 0.05), (0.015, 0.06), (0.8, 1.3), 0.15, 0.3, 0.25),
    "fractal": Kind(fractal_fields, (-0.4, -0.1), (0.03, 0.12), (0.8, 1.2), 0.15, 0.3, 0.25),
    "texture": Kind(texture_fields, (-0.5, 0.5), (0.1, 0.7), (0.45, 0.65), 0.3, 0.2, 0.15),
    "glyph_on_texture": Kind(glyph_fields, (0.07, 0.2), (0.015, 0.05), (0.8, 1.2), 0.15, 0.3, 0.25, textured=True),
    "contour_on_texture": Kind(
        contour_fields, (-0.05, 0.05), (0.015, 0.06), (0.8, 1.2), 0.15, 0.3, 0.25, textured=True
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Templates of all classes; a class's label is its row.

    Args:
        fields: float32 (K, V, S, S), templates of K classes in V variants.
        kind: int64 (K,), index into `KINDS`' order.
    """

    fields: Tensor
    kind: Tensor

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return int(self.fields.shape[0])


def draw_bank(n_classes: dict[str, int], n_variants: int, size_px: int, generator: torch.Generator) -> Bank:
    """Draw new classes of every kind.

    Args:
        n_classes: kind -> number of classes; kinds that are left out get none.
        n_variants: templates of a class.
        size_px: side of a template, in pixels.
        generator: the only source of randomness; its device is the bank's.

    Raises:
        UserError: a kind is unknown, or there is no texture class to put behind the other kinds.
    """
    unknown = sorted(set(n_classes) - set(KINDS))
    if unknown:
        raise UserError(f"unknown kind of class {unknown[0]!r}; use {', '.join(KINDS)} in backbones/params.yaml")
    if n_classes.get("texture", 0) < 1:
        raise UserError(
            "the bank needs at least 1 texture class, for the backgrounds: set classes.texture in backbones/params.yaml"
        )
    fields, kinds = [], []
    for index, (name, kind) in enumerate(KINDS.items()):
        count = n_classes.get(name, 0)
        if count:
            fields.append(kind.fields(count, n_variants, size_px, generator))
            kinds.append(torch.full((count,), index, device=generator.device))
    return Bank(torch.cat(fields), torch.cat(kinds))
