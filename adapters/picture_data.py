"""Pictures that travel inside a page: made small, written as text."""

import base64
import hashlib
import io
from pathlib import Path

_LOSSLESS_PX = 96  # pictures up to this side stay as they are: drawings of few pixels show what JPEG does
_SMALL_BYTES = 48_000  # so do small files that fit: writing in them stays sharp
_QUALITY = 80


def data_uri(path: Path, longest_px: int) -> str | None:
    """Return a picture as a data URI; None where there is no readable picture.

    Args:
        path: an image file that a stage of ours wrote.
        longest_px: its longer side is made no longer than this.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            fits = opened.format == "PNG" and max(opened.size) <= longest_px and len(content) <= _SMALL_BYTES
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    if fits:
        return _as_text("PNG", content)
    image.thumbnail((longest_px, longest_px))
    kind = "PNG" if max(image.size) <= _LOSSLESS_PX else "JPEG"
    stream = io.BytesIO()
    image.save(stream, format=kind, quality=_QUALITY, optimize=True)
    return _as_text(kind, stream.getvalue())


def thumbnail(path: Path, sha256: str, longest_px: int) -> str | None:
    """Return an image of a data set as a data URI, upright and as the stages see it; None where it cannot be shown.

    Args:
        path: an image file of whatever origin.
        sha256: hex digest of the bytes that are meant; a file that changed since is not shown.
        longest_px: see `shown`.
    """
    from transfer.data.decoding import MAX_BYTES
    from transfer.data.undecodable import UndecodableError

    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            return None
        return shown(content, longest_px)
    except (OSError, UndecodableError):
        return None


def shown(content: bytes, longest_px: int) -> str:
    """Return an image of a data set as a data URI.

    Args:
        content: an image file.
        longest_px: its longer side gets so many pixels, or fewer where it is tiny.

    Raises:
        UndecodableError: it is no image that can be read.
    """
    from transfer.data import thumbnails

    return _as_text("JPEG", thumbnails.thumbnail(content, longest_px))


def _as_text(kind: str, content: bytes) -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode('ascii')}"
