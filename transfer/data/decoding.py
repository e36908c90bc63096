"""Turn the bytes of an image file into pixels, or say why they cannot be."""

import io
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError, features
from PIL import __version__ as pillow_version

from transfer.data.colours import to_rgb
from transfer.data.image_ends import ends_early
from transfer.data.png_checksums import check_png
from transfer.data.refusals import FORMATS, MAX_PIXELS, refuse_scans, refuse_tiles, too_large, unidentified
from transfer.data.remarks import remarks_of
from transfer.data.signatures import begins_as
from transfer.data.undecodable import UndecodableError, damage
from transfer.records import Preprocess

if TYPE_CHECKING:
    from torch import Tensor  # its import costs 2 s, and most readers of images need no tensor

MAX_BYTES = 1 << 28

# Raised whenever `to_example` gives other pixels for the same bytes and sizes: kept pixels are then decoded anew.
DECODER_VERSION = 2
_REDUCTIONS = (8, 4, 2)
_KEPT_DETAIL = 2  # a JPEG is decoded at no less than so many times the resolution that it is resized to
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
_LANDS_RIGHT, _LANDS_BOTTOM = (2, 3, 6, 7), (3, 4, 7, 8)  # orientations that put the stored first corner there
_TURNED = (5, 6, 7, 8)

Admit = Callable[[int], AbstractContextManager[object]]


def admit_all(_: int) -> AbstractContextManager[object]:
    """Let every image be decoded at once."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image and how its file stored it.

    Args:
        image: upright RGB pixels, 8 bits a channel.
        mode: Pillow's name of the stored pixel layout ("RGB", "L", "P", "CMYK", ...).
        format: Pillow's name of the file format ("JPEG", "PNG", ...).
        exif_orientation: 1 (upright) to 8, as stored.
        remarks: words of `transfer.data.faults`, sorted: what is worth telling of an image that decodes.
    """

    image: Image.Image
    mode: str
    format: str
    exif_orientation: int
    remarks: tuple[str, ...]


def decode(content: bytes) -> Image.Image:
    """Return the upright RGB image; the first frame of an animation.

    Args:
        content: the whole file.

    Raises:
        UndecodableError: not an image, cut short, damaged, or larger than `MAX_PIXELS`.
    """
    return decode_described(content).image


def decode_described(content: bytes, admit: Admit = admit_all) -> Decoded:
    """Decode all pixels and keep what the conversion to upright RGB forgets.

    Transparent pixels are laid over white; 16-bit grey keeps its upper 8 bits.

    Args:
        content: the whole file.
        admit: called with the number of pixels before they take memory; they are decoded inside of what it returns.

    Raises:
        UndecodableError: not an image, cut short, damaged, larger than `MAX_PIXELS`, or an image and something else.
    """
    remarks: list[str] = []
    stored = _decoded(content, None, admit, remarks)
    return Decoded(stored.image, stored.mode, stored.format, stored.orientation, tuple(sorted(remarks)))


def to_example(content: bytes, preprocess: Preprocess) -> "Tensor":
    """Do what `to_pixels` does, for one example.

    Args:
        content: the whole file.
        preprocess: sizes in pixels, and the filter.

    Returns:
        uint8 (3, crop_px, crop_px), RGB, channels last in memory.

    Raises:
        UndecodableError: see `decode`.
    """
    import torch

    return torch.from_numpy(to_pixels(content, preprocess).copy()).permute(2, 0, 1)


def to_pixels(content: bytes, preprocess: Preprocess, admit: Admit = admit_all) -> NDArray[np.uint8]:
    """Decode, resize the short side, crop the centre.

    The result is that of resizing with an antialiased filter and then cropping; only the crop is computed.

    A JPEG of at least four times the wanted resolution is decoded at half, a quarter or an eighth of its own, never at
    less than twice what is wanted: see `_reduction` for what that changes.

    Args:
        content: the whole file.
        preprocess: sizes in pixels, and the filter.
        admit: see `decode_described`.

    Returns:
        uint8 (crop_px, crop_px, 3), RGB, read only.

    Raises:
        UndecodableError: see `decode`.
    """
    stored = _decoded(content, preprocess.resize_px * _KEPT_DETAIL, admit)
    crop, short = preprocess.crop_px, min(stored.size)
    width, height = (int(preprocess.resize_px * side / short) for side in stored.size)
    left, top = round((width - crop) / 2.0), round((height - crop) / 2.0)
    scale_x, scale_y = stored.size[0] / width, stored.size[1] / height
    box = (left * scale_x, top * scale_y, (left + crop) * scale_x, (top + crop) * scale_y)
    cropped = stored.image.resize((crop, crop), _FILTERS[preprocess.interpolation], box=_box(box, stored))
    return np.asarray(cropped)


def decoder_facts() -> Mapping[str, str]:
    """Return what pixels depend on beside the file and the sizes: the versions of this module and of what decodes."""
    versions = {name: str(features.version(name)) for name in ("libjpeg_turbo", "webp", "libtiff")}
    return {"decoder": str(DECODER_VERSION), "pillow": pillow_version, **versions}


@dataclass(frozen=True, slots=True)
class _Stored:
    """What `_decoded` returns.

    Args:
        image: upright RGB pixels, maybe reduced.
        reduction: how many pixels of the file a side of a pixel of `image` stands for: 1, 2, 4 or 8.
        size: width and height of the upright image in pixels of the file.
        mode: Pillow's name of the stored pixel layout.
        format: Pillow's name of the file format.
        orientation: 1 (upright) to 8, as stored.
    """

    image: Image.Image
    reduction: int
    size: tuple[int, int]
    mode: str
    format: str
    orientation: int


def _decoded(
    content: bytes, enough_px: int | None, admit: Admit = admit_all, remarks: list[str] | None = None
) -> _Stored:
    """Decode all pixels; a JPEG may be reduced as long as its short side keeps `enough_px`, None reduces nothing.

    Where `remarks` are asked for, they are appended, and a file that is also something else is refused.
    """
    if len(content) > MAX_BYTES:
        raise UndecodableError(
            f"The file has {len(content)} bytes, more than {MAX_BYTES}; store a smaller image.", "too_many_bytes"
        )
    try:
        with ExitStack() as held:
            image = held.enter_context(_opened(content))
            mode, stored_format = image.mode, image.format or ""
            orientation = _orientation(image)
            full = image.size
            reduction = 1 if enough_px is None else _reduction(image, enough_px)
            held.enter_context(admit(image.size[0] * image.size[1]))
            image.load()
            turn = _orientation(image)  # TIFF turns itself upright while loading
            size = image.size if reduction == 1 else full
            pixels = to_rgb(image)
            if remarks is not None:
                remarks += remarks_of(content, image, orientation)
            image.close()  # its pixels are not held beside those of the result
            upright = _upright(pixels, turn)
    except UndecodableError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large() from error
    except UnidentifiedImageError as error:
        raise unidentified(content) from error
    except Exception as error:
        raise damage(error, ends_early=ends_early(content, begins_as(content))) from error
    upright_size = (size[1], size[0]) if turn in _TURNED else size
    return _Stored(upright, reduction, upright_size, mode, stored_format, orientation)


def _reduction(image: Image.Image, enough_px: int) -> int:
    """Let the decoder of a JPEG reduce it, by the transform it decodes with, and return by how much.

    With twice the wanted resolution kept, photographs enlarged 5 and 9 times (1280 and 2304 px, resized to 256) decode
    in half to a fifth of the time, their pixels change by 0.3 grey levels in the mean, the features of a MobileNetV2 by
    3 %, and none of 153 decisions of a linear probe on them changes. With one time kept it would be 0.8 grey levels, 7
    to 9 % and two decisions (`benchmarks/decoding.py`).

    Source: Loeffler et al., "Practical Fast 1-D DCT Algorithms", 1989, as libjpeg applies it to parts of a block.
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return 1
    reduction = next((factor for factor in _REDUCTIONS if min(image.size) >= factor * enough_px), 1)
    if reduction == 1 or image.draft(None, (image.width // reduction, image.height // reduction)) is None:
        return 1
    return reduction


def _box(box: tuple[float, float, float, float], stored: _Stored) -> tuple[float, float, float, float]:
    """Return a box in pixels of the file as one in pixels of the decoded image.

    The last column of a reduced image may stand for fewer pixels than the others; it is the first when the image was
    turned, so that the box begins behind what it lacks.
    """
    left, top, right, bottom = _inside(box, stored.size)
    width, height = (side / stored.reduction for side in stored.size)
    x = stored.image.width - width if stored.orientation in _LANDS_RIGHT else 0.0
    y = stored.image.height - height if stored.orientation in _LANDS_BOTTOM else 0.0
    placed = (left / stored.reduction + x, top / stored.reduction + y)
    return *placed, right / stored.reduction + x, bottom / stored.reduction + y


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(size[0])), min(bottom, float(size[1]))


def _opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.size[0] * image.size[1] > MAX_PIXELS:
        raise too_large(image.size)
    if image.format == "PNG":
        check_png(content)
    elif isinstance(image, JpegImagePlugin.JpegImageFile):
        refuse_scans(content)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        refuse_tiles(image)
    return image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001  damaged metadata must not cost an image whose pixels are fine
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
