"""Turn the bytes of an image file into pixels, or say why they cannot be."""

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from transfer.errors import UserError
from transfer.records import Preprocess

if TYPE_CHECKING:
    from torch import Tensor  # its import costs 2 s, and most readers of images need no tensor

# Only pixel decoders: Pillow would otherwise hand PostScript to an interpreter. JPEG includes MPO, PPM all of netpbm.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 89_478_485  # a quarter GiB of 24-bit pixels: Pillow's own limit for a suspected decompression bomb
MAX_BYTES = 1 << 28

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MEMORY_ADDRESS = re.compile(r"<[^>]* at 0x[0-9a-fA-F]+>")


class UndecodableError(UserError):
    """The bytes are no image that can be read; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image and how its file stored it.

    Args:
        image: upright RGB pixels, 8 bits a channel.
        mode: Pillow's name of the stored pixel layout ("RGB", "L", "P", "CMYK", ...).
        format: Pillow's name of the file format ("JPEG", "PNG", ...).
        exif_orientation: 1 (upright) to 8, as stored.
    """

    image: Image.Image
    mode: str
    format: str
    exif_orientation: int


def decode(content: bytes) -> Image.Image:
    """Return the upright RGB image; the first frame of an animation.

    Args:
        content: the whole file.

    Raises:
        UndecodableError: not an image, cut short, damaged, or larger than `MAX_PIXELS`.
    """
    return decode_described(content).image


def decode_described(content: bytes) -> Decoded:
    """Decode all pixels and keep what the conversion to upright RGB forgets.

    Transparent pixels are laid over white; 16-bit grey keeps its upper 8 bits.

    Args:
        content: the whole file.

    Raises:
        UndecodableError: not an image, cut short, damaged, or larger than `MAX_PIXELS`.
    """
    if len(content) > MAX_BYTES:
        raise UndecodableError(f"The file has {len(content)} bytes, more than {MAX_BYTES}; store a smaller image.")
    try:
        with _opened(content) as image:
            mode, stored_format = image.mode, image.format or ""
            orientation = _orientation(image)
            image.load()
            upright = _upright(_to_rgb(image), _orientation(image))  # TIFF turns itself upright while loading
    except UndecodableError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UndecodableError(f"The image has more than {MAX_PIXELS} pixels; store a smaller one.") from error
    except UnidentifiedImageError as error:
        raise UndecodableError(_unidentified(content)) from error
    except Exception as error:
        raise UndecodableError(f"The image is damaged ({_reason(error)}); replace or remove it.") from error
    return Decoded(upright, mode, stored_format, orientation)


def to_example(content: bytes, preprocess: Preprocess) -> "Tensor":
    """Decode, resize the short side, crop the centre.

    The result is that of resizing with an antialiased filter and then cropping; only the crop is computed.

    Args:
        content: the whole file.
        preprocess: sizes in pixels, and the filter.

    Returns:
        uint8 (3, crop_px, crop_px), RGB.

    Raises:
        UndecodableError: see `decode`.
    """
    import torch

    image = decode(content)
    short = min(image.size)
    width, height = (int(preprocess.resize_px * side / short) for side in image.size)
    crop = preprocess.crop_px
    left, top = round((width - crop) / 2.0), round((height - crop) / 2.0)
    scale_x, scale_y = image.width / width, image.height / height
    box = (left * scale_x, top * scale_y, (left + crop) * scale_x, (top + crop) * scale_y)
    cropped = image.resize((crop, crop), _FILTERS[preprocess.interpolation], box=_inside(box, image.size))
    return torch.from_numpy(np.array(cropped)).permute(2, 0, 1).contiguous()


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(size[0])), min(bottom, float(size[1]))


def _opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    _refuse_bomb(image.size)
    if image.format != "PNG":
        return image
    image.verify()  # decoding alone accepts wrong checksums and gives noise; an image that was verified is used up
    return Image.open(io.BytesIO(content), formats=FORMATS)


def _refuse_bomb(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise UndecodableError(
            f"The image has {size[0]} x {size[1]} pixels, more than {MAX_PIXELS}; store a smaller one."
        )


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001  damaged metadata must not cost an image whose pixels are fine
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UndecodableError("The image has floating-point pixels of unknown range; store it with 8 or 16 bits.")
    if image.mode.startswith("I"):
        return _from_integers(image)
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB")
    return image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > 0xFFFF:
        raise UndecodableError("The image has 32-bit pixels of unknown range; store it with 8 or 16 bits.")
    return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")


def _unidentified(content: bytes) -> str:
    if not content:
        return "The file is empty; replace or remove it."
    return f"The file is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image; replace or remove it."


def _reason(error: Exception) -> str:
    text = _MEMORY_ADDRESS.sub("the file", str(error)).strip().rstrip(".") or type(error).__name__
    return " ".join(text.split())
