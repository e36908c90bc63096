"""What is worth telling of an image that decodes, and what makes one that decodes unwelcome all the same."""

from typing import Literal

from PIL import Image, TiffImagePlugin

from transfer.data.image_ends import also, end_of_image, has_trailing
from transfer.data.undecodable import UndecodableError

MANY_BYTES = 1 << 20  # of metadata
_SRGB = (b"sRGB", "sRGB".encode("utf-16-be"))
_ALWAYS_END = ("JPEG", "MPO")
_OF_MODE = {"1": "bilevel", "CMYK": "cmyk"}


def remarks_of(content: bytes, image: Image.Image, orientation: int) -> list[str]:
    """Return words of `transfer.data.faults` for an image.

    Args:
        content: the whole file.
        image: loaded; asking for its frames may unload it.
        orientation: 1 (upright) to 8, as stored.

    Raises:
        UndecodableError: the file is an archive, a document or a program as well; or a JPEG without an end, of which a
            decoder makes pixels out of whatever bytes follow.
    """
    end = end_of_image(content, image.format or "")
    if end is None and image.format in _ALWAYS_END:
        raise UndecodableError(
            "The image is damaged (its end is missing, so what follows is no image); replace or remove it.", "truncated"
        )
    other = also(content, end)
    if other:
        raise UndecodableError(
            f"The file is an image and {other} at once; store the image alone, or remove the file.", "polyglot"
        )
    profile = image.info.get("icc_profile") or b""
    told = {
        "trailing_bytes": image.format != "MPO" and has_trailing(content, end),
        "damaged_metadata": _has_damaged_exif(image),
        "large_metadata": _metadata_bytes(image) > MANY_BYTES,
        "colour_profile": bool(profile) and not any(name in profile for name in _SRGB),
        "several_frames": _has_several_frames(image),
        "turned": orientation != 1,
        "transparent": image.has_transparency_data,
        "sixteen_bit": _is_deep(content, image),
        _OF_MODE.get(image.mode, ""): image.mode in _OF_MODE,
    }
    return [word for word, is_so in told.items() if is_so]


def _has_damaged_exif(image: Image.Image) -> bool:
    """Say whether there is EXIF and nothing of it can be read; Pillow passes over what it does not understand."""
    stored = image.info.get("exif")
    if not isinstance(stored, bytes) or not stored:
        return False
    table = stored.removeprefix(b"Exif\0\0")
    if not table.startswith((b"II*\0", b"MM\0*")):
        return True
    try:
        return not dict(image.getexif()) and not _is_empty(table)
    except Exception:  # noqa: BLE001  whatever a parser of damaged metadata raises, that is the answer
        return True


def _is_empty(table: bytes) -> bool:
    """Say whether a table of tags, from its byte order on, says that it has none."""
    order: Literal["little", "big"] = "little" if table.startswith(b"II") else "big"
    start = int.from_bytes(table[4:8], order)
    return table[start : start + 2] == b"\0\0"


def _metadata_bytes(image: Image.Image) -> int:
    texts = [value for value in image.info.values() if isinstance(value, bytes | str)]
    segments = [segment for _, segment in getattr(image, "applist", ())]
    return max(sum(map(len, texts)), sum(map(len, segments)))


def _has_several_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001  there is a second one, and it is damaged; only the first is used
        return True


def _is_deep(content: bytes, image: Image.Image) -> bool:
    """Say whether a channel has 16 bits; Pillow hides it where there are several channels."""
    if image.mode.startswith("I"):
        return True
    if image.format == "PNG":
        return content[24:25] == b"\x10"  # the depth in the header, which comes first
    return isinstance(image, TiffImagePlugin.TiffImageFile) and 16 in image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ())  # noqa: PLR2004
