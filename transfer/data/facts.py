"""What can be said about an image without knowing what it shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from transfer.data.decoding import Decoded

# Column -> Arrow type; the manifest carries them without knowing what they mean, all but the thumbnail.
THUMBNAIL, THUMBNAIL_SIDE = "thumbnail", 32
FACT_TYPES: Mapping[str, str] = {
    "perceptual_hash": "string",
    THUMBNAIL: "binary",
    "width_px": "int32",
    "height_px": "int32",
    "mode": "string",
    "format": "string",
    "exif_orientation": "int8",
    "brightness": "float64",
    "shadow": "float64",
    "highlight": "float64",
    "sharpness": "float64",
}
_HASH_SIDE = 8
_SHARP_PX = 256  # longer side on which sharpness is measured: finer detail than that no backbone of usual size sees
_TAIL = 0.01  # share of the pixels that shadow and highlight leave out: a few dead or burnt ones say nothing


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts of one image.

    Args:
        perceptual_hash: 64 bits as 16 hexadecimal digits, see `perceptual_hash` below.
        thumbnail: 32 x 32 bytes of grey, rows from the top: what near-duplicates are told by.
        width_px: of the upright image.
        height_px: of the upright image.
        mode: Pillow's name of the stored pixel layout.
        format: Pillow's name of the file format.
        exif_orientation: 1 (upright) to 8, as stored.
        brightness: mean luma in [0, 1], four decimals.
        shadow: luma that 1 % of the pixels do not exceed, in [0, 1], four decimals.
        highlight: luma that 99 % of the pixels do not exceed, in [0, 1], four decimals.
        sharpness: see `sharpness` below, four decimals.
    """

    perceptual_hash: str
    thumbnail: bytes
    width_px: int
    height_px: int
    mode: str
    format: str
    exif_orientation: int
    brightness: float
    shadow: float
    highlight: float
    sharpness: float


def describe_image(decoded: Decoded) -> ImageFacts:
    """Collect the facts of a decoded image.

    Args:
        decoded: upright RGB pixels and how they were stored.
    """
    grey = decoded.image.convert("L")
    histogram = np.asarray(grey.histogram(), dtype=np.float64)
    luma = float(histogram @ np.arange(256)) / (255.0 * grey.width * grey.height)
    below = np.cumsum(histogram)
    shadow, highlight = np.searchsorted(below, np.array([_TAIL, 1.0 - _TAIL]) * below[-1]) / 255.0
    small = reduced(grey)
    return ImageFacts(
        perceptual_hash=perceptual_hash(small),
        thumbnail=small.tobytes(),
        width_px=grey.width,
        height_px=grey.height,
        mode=decoded.mode,
        format=decoded.format,
        exif_orientation=decoded.exif_orientation,
        brightness=round(luma, 4),
        shadow=round(float(shadow), 4),
        highlight=round(float(highlight), 4),
        sharpness=round(sharpness(grey), 4),
    )


def reduced(grey: Image.Image) -> Image.Image:
    """Return an image squeezed into 32 x 32; one of that size as it is.

    Args:
        grey: any size, 8-bit grey.
    """
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return grey if grey.size == side else grey.resize(side, Image.Resampling.LANCZOS)


def perceptual_hash(grey: Image.Image) -> str:
    """Hash what an image looks like: similar images differ in few of the 64 bits.

    A bit says whether one of the 8 x 8 lowest frequencies of the cosine transform of the image, reduced to 32 x 32, is
    above their median. Images without structure (one colour) get an arbitrary hash.

    Args:
        grey: any size, 8-bit grey.

    Returns:
        16 hexadecimal digits, the lowest frequency first.

    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010 (DCT based hash).
    """
    pixels = np.asarray(reduced(grey), dtype=np.float64)
    basis = _cosines()
    low = basis @ pixels @ basis.T
    bits = (low > np.median(low)).astype(np.uint8).ravel()
    return np.packbits(bits).tobytes().hex()


def sharpness(grey: Image.Image) -> float:
    """Measure how sharp an image is: the standard deviation of the Laplacian of its luma in [0, 1]; low where blurred.

    An image whose longer side exceeds 256 px is first reduced to that by averaging, so that the value depends little on
    the resolution, and blur that such a size hides does not count.

    Args:
        grey: any size, 8-bit grey.

    Returns:
        In [0, 4]; 0 for an image with a side below 3 px.

    Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR: the
    measure LAPV with four neighbours, of which this is the root.
    """
    shrink = _SHARP_PX / max(grey.size)
    if shrink < 1:
        size = (max(1, round(grey.width * shrink)), max(1, round(grey.height * shrink)))
        grey = grey.resize(size, Image.Resampling.BOX)
    luma = np.asarray(grey, dtype=np.float64) / 255.0
    if min(luma.shape) < 3:
        return 0.0
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float(np.std(around - 4 * luma[1:-1, 1:-1]))


@cache
def _cosines() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the first 8 rows of the unnormalised DCT-II matrix of 32 points."""
    frequency = np.arange(_HASH_SIDE)[:, None]
    position = np.arange(THUMBNAIL_SIDE)[None, :]
    return 2.0 * np.cos(np.pi * frequency * (2 * position + 1) / (2 * THUMBNAIL_SIDE))
