"""From the pixels of any stored layout to 8-bit RGB, without a second copy of a huge image."""

from collections.abc import Callable

import numpy as np
from PIL import Image, TiffImagePlugin

from transfer.data.undecodable import UndecodableError

_STRIP = 1 << 22  # pixels that are converted at once: what a conversion holds besides its result
_NO_PLAIN_CONVERSION = ("LAB", "HSV")
_WHITE_IS_ZERO, _PHOTOMETRIC_TAG = 0, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert loaded pixels to RGB: transparency over white, the upper 8 of 16 bits.

    Args:
        image: as Pillow decoded it.

    Raises:
        UndecodableError: the pixels have no known range or no plain conversion.
    """
    if image.mode == "F":
        raise UndecodableError(
            "The image has floating-point pixels of unknown range; store it with 8 or 16 bits.", "unknown_range"
        )
    if image.mode in _NO_PLAIN_CONVERSION:
        raise UndecodableError(f"The image has colours in {image.mode}; store it as RGB.", "unsupported_colours")
    if image.mode.startswith("I"):
        return _by_strips(image, _inverted if _is_inverted(image) else _from_integers)
    if image.has_transparency_data:
        return _by_strips(image, _over_white)
    return image.convert("RGB")


def _by_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    width, height = image.size
    n_rows = max(1, _STRIP // max(1, width))
    if n_rows >= height:
        return convert(image)
    whole = Image.new("RGB", image.size)
    for top in range(0, height, n_rows):
        whole.paste(convert(image.crop((0, top, width, min(height, top + n_rows)))), (0, top))
    return whole


def _over_white(image: Image.Image) -> Image.Image:
    pixels = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > 0xFFFF:
        raise UndecodableError(
            "The image has 32-bit pixels of unknown range; store it with 8 or 16 bits.", "unknown_range"
        )
    return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")


def _inverted(image: Image.Image) -> Image.Image:
    return _from_integers(image).point(lambda value: 255 - value)


def _is_inverted(image: Image.Image) -> bool:
    """Say whether 0 is white, which Pillow undoes for 8 bits a pixel and not for 16."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or not image.mode.startswith("I;16"):
        return False
    return bool(image.tag_v2.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO)
