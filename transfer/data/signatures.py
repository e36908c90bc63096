"""What bytes are, by how they begin: so that a refusal can say what was found instead of an image."""

from dataclasses import dataclass

_HEAD_BYTES = 1024  # within which readers of PDF and browsers look for a beginning


@dataclass(frozen=True, slots=True)
class Signature:
    """A kind of content.

    Args:
        name: for people.
        start: position of `magic`, bytes.
        magic: the bytes found there.
        is_image: whether it shows one picture, so that converting it would help.
    """

    name: str
    start: int
    magic: bytes
    is_image: bool = False


# The formats that are decoded; names are Pillow's.
_READ = (
    Signature("JPEG", 0, b"\xff\xd8\xff", True),
    Signature("PNG", 0, b"\x89PNG\r\n\x1a\n", True),
    Signature("GIF", 0, b"GIF87a", True),
    Signature("GIF", 0, b"GIF89a", True),
    Signature("WEBP", 8, b"WEBP", True),
    Signature("TIFF", 0, b"II*\x00", True),
    Signature("TIFF", 0, b"MM\x00*", True),
    Signature("TIFF", 0, b"II+\x00", True),
    Signature("TIFF", 0, b"MM\x00+", True),
)
_UNREAD_IMAGES = (
    *(Signature("HEIC", 4, b"ftyp" + brand, True) for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
    Signature("AVIF", 4, b"ftypavif", True),
    Signature("AVIF", 4, b"ftypavis", True),
    Signature("JPEG XL", 0, b"\xff\x0a", True),
    Signature("JPEG XL", 4, b"JXL \r\n", True),
    Signature("JPEG 2000", 4, b"jP  \r\n", True),
    Signature("JPEG 2000", 0, b"\xff\x4f\xff\x51", True),
    Signature("Photoshop", 0, b"8BPS", True),
    Signature("Windows icon", 0, b"\x00\x00\x01\x00", True),
    Signature("DirectDraw", 0, b"DDS ", True),
    Signature("PostScript", 0, b"%!PS", True),
    Signature("OpenEXR", 0, b"\x76\x2f\x31\x01", True),
    Signature("Radiance", 0, b"#?RADIANCE", True),
    Signature("FITS", 0, b"SIMPLE  =", True),
    Signature("DICOM", 128, b"DICM", True),
    Signature("QOI", 0, b"qoif", True),
)
_OTHERS = (
    Signature("a ZIP archive", 0, b"PK\x03\x04"),
    Signature("a ZIP archive", 0, b"PK\x05\x06"),
    Signature("a RAR archive", 0, b"Rar!\x1a\x07"),
    Signature("a 7z archive", 0, b"7z\xbc\xaf\x27\x1c"),
    Signature("a gzip archive", 0, b"\x1f\x8b\x08"),
    Signature("an xz archive", 0, b"\xfd7zXZ\x00"),
    Signature("a zstd archive", 0, b"\x28\xb5\x2f\xfd"),
    Signature("a tar archive", 257, b"ustar"),
    Signature("a PDF document", 0, b"%PDF-"),
    Signature("a Linux program", 0, b"\x7fELF"),
    Signature("a Windows program", 0, b"MZ\x90\x00"),
    Signature("a script", 0, b"#!/"),
    Signature("a script", 0, b"<?php"),
    Signature("a NumPy array", 0, b"\x93NUMPY"),
    Signature("an HDF5 file", 0, b"\x89HDF\r\n\x1a\n"),
    Signature("an SQLite database", 0, b"SQLite format 3\x00"),
    Signature("a film", 4, b"ftyp"),
    Signature("a Git LFS pointer, whose file was not fetched", 0, b"version https://git-lfs"),
)
_MARKUP = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_PICKLE_PROTOCOLS = range(2, 6)


def begins_as(content: bytes) -> str:
    """Return the name of the format that is read and that content begins as; "" for none."""
    return next((one.name for one in _READ if _fits(one, content)), "")


def other_content(content: bytes) -> Signature | None:
    """Say what bytes are that are not of a format that is read.

    Args:
        content: the whole file, or what follows after an image.

    Returns:
        None where nothing is recognised.
    """
    found = next((one for one in (*_UNREAD_IMAGES, *_OTHERS) if _fits(one, content)), None)
    if found is not None:
        return found
    head = content[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in head):
        return Signature("SVG", 0, b"<svg", True)
    if head.startswith(_MARKUP):
        return Signature("HTML", 0, b"<html")
    if len(content) > 2 and content[0] == 0x80 and content[1] in _PICKLE_PROTOCOLS and content.endswith(b"."):  # noqa: PLR2004
        return Signature("a Python pickle", 0, b"\x80")
    return None


def _fits(signature: Signature, content: bytes) -> bool:
    return content.startswith(signature.magic, signature.start)
