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
}
_HASH_SIDE = 8


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
    """

    perceptual_hash: str
    thumbnail: bytes
    width_px: int
    height_px: int
    mode: str
    format: str
    exif_orientation: int
    brightness: float


def describe_image(decoded: Decoded) -> ImageFacts:
    """Collect the facts of a decoded image.

    Args:
        decoded: upright RGB pixels and how they were stored.
    """
    grey = decoded.image.convert("L")
    histogram = np.asarray(grey.histogram(), dtype=np.float64)
    luma = float(histogram @ np.arange(256)) / (255.0 * grey.width * grey.height)
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


@cache
def _cosines() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the first 8 rows of the unnormalised DCT-II matrix of 32 points."""
    frequency = np.arange(_HASH_SIDE)[:, None]
    position = np.arange(THUMBNAIL_SIDE)[None, :]
    return 2.0 * np.cos(np.pi * frequency * (2 * position + 1) / (2 * THUMBNAIL_SIDE))
