"""What is refused before its pixels take memory or time, and what begins as nothing that is read."""

from PIL import TiffImagePlugin

from transfer.data.image_ends import ends_early, jpeg_shape
from transfer.data.signatures import begins_as, other_content
from transfer.data.undecodable import UndecodableError

# Only pixel decoders: Pillow would otherwise hand PostScript to an interpreter. JPEG includes MPO, PPM all of netpbm.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 89_478_485  # a quarter GiB of 24-bit pixels: Pillow's own limit for a suspected decompression bomb
MAX_SCANS = 100  # passes over a JPEG's pixels; encoders make at most 20, and each costs as much as decoding it once
_MAX_TILE = 1 << 24  # pixels of a TIFF's tile that is larger than its image


def too_large(size: tuple[int, int] | None = None) -> UndecodableError:
    """Return the refusal of an image with too many pixels.

    Args:
        size: width and height, px, where they are known.
    """
    pixels = f"{size[0]} x {size[1]} pixels, " if size else ""
    return UndecodableError(f"The image has {pixels}more than {MAX_PIXELS} pixels; store a smaller one.", "bomb")


def refuse_scans(content: bytes) -> None:
    """Refuse a JPEG that asks for so many passes over its pixels that a few kilobytes take hours.

    Args:
        content: the whole file.

    Raises:
        UndecodableError: more than `MAX_SCANS`.
    """
    if content.count(b"\xff\xda") > MAX_SCANS and (n_scans := jpeg_shape(content).n_scans) > MAX_SCANS:
        raise UndecodableError(
            f"The image is drawn in {n_scans} passes, more than {MAX_SCANS}; store it with fewer.", "bomb"
        )


def refuse_tiles(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuse a TIFF whose tiles are far larger than itself: each is decoded whole.

    Args:
        image: opened, not loaded.

    Raises:
        UndecodableError: they are.
    """
    width, height = (image.tag_v2.get(tag, 0) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    if width * height > max(_MAX_TILE, image.size[0] * image.size[1]):
        raise UndecodableError(f"The image has tiles of {width} x {height} pixels; store it with smaller ones.", "bomb")


def unidentified(content: bytes) -> UndecodableError:
    """Return the refusal of bytes that no decoder takes for an image, which says what they are.

    Args:
        content: the whole file.
    """
    if not content:
        return UndecodableError("The file is empty; replace or remove it.", "empty")
    read = f"The file is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"
    begun = begins_as(content)
    if begun:
        return UndecodableError(
            f"The image is damaged (it begins as {begun} and has no header that can be read); replace or remove it.",
            "truncated" if ends_early(content, begun) else "damaged",
        )
    found = other_content(content)
    if found is None:
        return UndecodableError(f"{read}; replace or remove it.", "not_an_image")
    if found.is_image:
        return UndecodableError(f"{read} but {found.name}; convert it to JPEG or PNG.", "unsupported_format")
    return UndecodableError(f"{read} but {found.name}; replace or remove it.", "not_an_image")
