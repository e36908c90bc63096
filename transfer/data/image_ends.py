"""Where an image ends inside its file, what follows there, and how much work a JPEG asks for."""

import re
import struct
from dataclasses import dataclass

from transfer.data.png_checksums import check_png
from transfer.data.signatures import other_content

_JPEG_START_BYTES = 2
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # entropy-coded data hold no other marker than restarts
_END, _SCAN = 0xD9, 0xDA
_ALONE = (0x01, 0xD8)  # markers without a length
_RIFF_PREFIX_BYTES = 8
_GIF_HEADER_BYTES, _GIF_FRAME_BYTES = 13, 10
_ZIP_END = struct.Struct("<4s4H2LH")
_ZIP_END_MAGIC, _ZIP_ENTRY_MAGIC, _LONGEST_ZIP_COMMENT = b"PK\x05\x06", b"PK\x01\x02", 0xFFFF
_CODE = (b"<?php", b"<script", b"<SCRIPT")
_HEAD_BYTES = 1024  # within which readers of PDF look for its beginning
_PADDING = b"\x00\r\n\t \xff"


@dataclass(frozen=True, slots=True)
class JpegShape:
    """What walking over a JPEG's markers tells.

    Args:
        end: position after the end marker; None where there is none.
        n_scans: passes over the pixels.
    """

    end: int | None
    n_scans: int


def jpeg_shape(content: bytes) -> JpegShape:
    """Walk over the markers of a JPEG's first image.

    Args:
        content: the whole file, of which the signature is known to be a JPEG's.

    Source: ITU-T T.81 (1992), annex B.1.1 (markers) and B.1.1.5 (no marker but restarts in entropy-coded data).
    """
    place, n_scans = _JPEG_START_BYTES, 0
    while True:
        found = _MARKER.search(content, place)
        if found is None:
            return JpegShape(None, n_scans)
        kind, place = content[found.end() - 1], found.end()
        if kind == _END:
            return JpegShape(place, n_scans)
        if kind in _ALONE:
            continue
        n_scans += kind == _SCAN
        place += max(2, int.from_bytes(content[place : place + 2], "big"))


def end_of_image(content: bytes, kind: str) -> int | None:
    """Return the position after an image that was decoded without complaint; None where its format does not say.

    Args:
        content: the whole file.
        kind: Pillow's name of the format.
    """
    match kind:
        case "JPEG" | "MPO":
            return jpeg_shape(content).end
        case "PNG":
            return check_png(content)
        case "WEBP":
            return _riff_end(content)
        case "GIF":
            return _gif_end(content)
    return None


def ends_early(content: bytes, kind: str) -> bool:
    """Say whether a file ends before its format says that it does.

    Args:
        content: the whole file, which does not decode.
        kind: Pillow's name of the format that it begins as.
    """
    match kind:
        case "JPEG":
            return jpeg_shape(content).end is None
        case "WEBP":
            return _riff_end(content) > len(content)
        case "GIF":
            return _gif_end(content) is None
    return False


def also(content: bytes, end: int | None) -> str:
    """Say what a file is beside the image that it holds: an archive, a document, a program; "" for nothing.

    Args:
        content: the whole file.
        end: position after the image; None where it is not known.

    Source: Albertini, "Funky File Formats", 2014 (an archive is found from the end, a document within a kilobyte).
    """
    if _ends_as_zip(content):
        return "a ZIP archive"
    if b"%PDF-" in content[:_HEAD_BYTES]:
        return "a PDF document"
    if any(word in content for word in _CODE):
        return "a web page or script"
    if end is None:
        return ""
    behind = other_content(content[end:].lstrip(_PADDING))
    return behind.name if behind is not None and not behind.is_image and behind.name != "a film" else ""


def has_trailing(content: bytes, end: int | None) -> bool:
    """Say whether more than padding follows after an image.

    Args:
        content: the whole file.
        end: position after the image; None where it is not known.
    """
    return end is not None and bool(content[end:].strip(_PADDING))


def _ends_as_zip(content: bytes) -> bool:
    """Say whether a ZIP reader would open the file: an end record whose comment reaches the end, and entries."""
    start = content.rfind(_ZIP_END_MAGIC, max(0, len(content) - _ZIP_END.size - _LONGEST_ZIP_COMMENT))
    if start < 0 or start + _ZIP_END.size > len(content):
        return False
    *_, n_bytes, _, n_comment = _ZIP_END.unpack_from(content, start)
    fits = n_bytes <= start and start + _ZIP_END.size + n_comment <= len(content)
    return bool(fits and content.startswith(_ZIP_ENTRY_MAGIC, start - n_bytes))


def _riff_end(content: bytes) -> int:
    n_bytes = int.from_bytes(content[4:_RIFF_PREFIX_BYTES], "little")
    return _RIFF_PREFIX_BYTES + n_bytes + n_bytes % 2


def _gif_end(content: bytes) -> int | None:
    """Walk over the blocks of a GIF; None where they lead beyond the file.

    Source: CompuServe, "Graphics Interchange Format, Version 89a", 1990.
    """
    if len(content) < _GIF_HEADER_BYTES:
        return None
    place = _GIF_HEADER_BYTES + _colours(content[_GIF_HEADER_BYTES - 3])
    while place < len(content):
        kind = content[place]
        if kind == 0x3B:  # noqa: PLR2004  the trailer
            return place + 1
        if kind == 0x21:  # noqa: PLR2004  an extension
            place += 2
        elif kind == 0x2C and place + _GIF_FRAME_BYTES <= len(content):  # noqa: PLR2004  a frame
            place += _GIF_FRAME_BYTES + _colours(content[place + _GIF_FRAME_BYTES - 1]) + 1
        else:
            return None
        while place < len(content) and content[place]:
            place += content[place] + 1
        place += 1
    return None


def _colours(flags: int) -> int:
    """Return the length of the table of colours that flags announce, bytes."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
