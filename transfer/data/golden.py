"""A few images of no content that every model can be asked about: what it says of them today it has to say for ever."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDES_PX = ((96, 64), (64, 96), (33, 47), (160, 160))


def golden_images() -> tuple[bytes, ...]:
    """Return encoded images: waves of every frequency, edges and noise, in colour, upright, broad and small.

    They are of no data set, so that a model may carry them wherever it goes.
    """
    draw = np.random.default_rng(0)
    return tuple(_png(_drawn(draw, place, *sides)) for place, sides in enumerate(_SIDES_PX))


def _drawn(draw: np.random.Generator, place: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Return pixels uint8 (H, W, 3)."""
    rows, columns = np.mgrid[0:height_px, 0:width_px] / 16.0
    frequencies, phases = draw.uniform(0.3, 2.0 + place, (3, 2)), draw.uniform(0, 6.3, 3)
    waves = [np.sin(fast * rows + slow * columns + phase) for (fast, slow), phase in zip(frequencies, phases, strict=True)]
    colours = 128 + 70 * np.stack(waves, axis=-1) + draw.normal(0, 20, (height_px, width_px, 3))
    if place % 2:
        colours[height_px // 3 : height_px // 2] = 255 - colours[height_px // 3 : height_px // 2]
    return colours.clip(0, 255).astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()
