"""Planted faults: each makes one file, and says by which words a scan must name it."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.adapters.gallery_files import (
    bmp_bomb,
    commented,
    deep,
    deep_rgb,
    encoded,
    float_tiff,
    frames,
    gif_bomb,
    gif_frame_bomb,
    grey_tiff,
    half_transparent,
    lab_tiff,
    large_text,
    looping_tiff,
    palette_with_hole,
    pickled,
    picture,
    png_bomb,
    profile_bomb,
    profiled,
    scan_bomb,
    srgb,
    svg,
    text_bomb,
    turned,
    webp_bomb,
    white_is_zero,
    with_exif,
    zipped,
)

Make = Callable[[Path], None]


@dataclass(frozen=True)
class Planted:
    """A file with a fault.

    Args:
        name: of the file, within its class folder.
        make: writes it at a path.
        kind: the word of the error; "" for a file that is used.
        remarks: the words of the warnings, all of them.
    """

    name: str
    make: Make
    kind: str = ""
    remarks: tuple[str, ...] = ()


def _writing(content: Callable[[], bytes]) -> Make:
    return lambda path: path.write_bytes(content()) and None


def _cut(kind: str, share: float, **options: Any) -> Make:
    def make(path: Path) -> None:
        content = encoded(picture(90, 70), kind, **options)
        path.write_bytes(content[: int(len(content) * share)])

    return make


def _changed_pixel_byte(path: Path) -> None:
    content = bytearray(encoded(picture(), "PNG"))
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def _link_to(target: Callable[[Path], Path]) -> Make:
    return lambda path: path.symlink_to(target(path))


def _outside(path: Path) -> Path:
    other = path.parents[2] / "elsewhere.jpg"
    other.write_bytes(encoded(picture(seed=9)))
    return other


def _inside(path: Path) -> Path:
    other = path.parent / "linked to.jpg"
    other.write_bytes(encoded(picture(seed=8)))
    return other


def _link_in_circle(path: Path) -> None:
    other = path.with_name("circle, second half")
    other.symlink_to(path)
    path.symlink_to(other)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may have 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(here)


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate((1 << 28) + 1)


def _pair_by_case(path: Path) -> None:
    path.write_bytes(encoded(picture(seed=4)))
    path.with_name(path.name.upper()).write_bytes(encoded(picture(seed=5)))


_TEXT = b"<!doctype html><html><body>404 Not Found</body></html>"

GALLERY: tuple[Planted, ...] = (
    Planted("empty.jpg", _writing(lambda: b""), "empty"),
    Planted("zeros.jpg", _writing(lambda: bytes(5_000)), "not_an_image"),
    Planted("noise.png", _writing(lambda: np.random.default_rng(0).bytes(5_000)), "not_an_image"),
    Planted("page.jpg", _writing(lambda: _TEXT), "not_an_image"),
    Planted("pickle.png", _writing(pickled), "not_an_image"),
    Planted("archive.png", _writing(zipped), "not_an_image"),
    Planted("document.jpg", _writing(lambda: b"%PDF-1.7\n" + bytes(400)), "not_an_image"),
    Planted("program.gif", _writing(lambda: b"\x7fELF" + bytes(400)), "not_an_image"),
    Planted("pointer.jpg", _writing(lambda: b"version https://git-lfs.github.com/spec/v1\n"), "not_an_image"),
    Planted("drawing.png", _writing(svg), "unsupported_format"),
    Planted("phone.jpg", _writing(lambda: b"\0\0\0\x18ftypheic" + bytes(400)), "unsupported_format"),
    Planted("modern.jpg", _writing(lambda: b"\0\0\0\x1cftypavif" + bytes(400)), "unsupported_format"),
    Planted("print.jpg", _writing(lambda: b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n"), "unsupported_format"),
    Planted("scan.png", _writing(lambda: bytes(128) + b"DICM" + bytes(400)), "unsupported_format"),
    Planted("cut.jpg", _cut("JPEG", 0.7), "truncated"),
    Planted("cut late.jpg", _cut("JPEG", 0.97), "truncated"),
    Planted("cut progressive.jpg", _cut("JPEG", 0.5, progressive=True), "truncated"),
    Planted("cut.png", _cut("PNG", 0.6), "truncated"),
    Planted("cut.gif", _cut("GIF", 0.6), "truncated"),
    Planted("cut.bmp", _cut("BMP", 0.6), "truncated"),
    Planted("cut.webp", _cut("WEBP", 0.6), "truncated"),
    Planted("cut.tiff", _cut("TIFF", 0.6), "truncated"),
    Planted("cut.ppm", _cut("PPM", 0.6), "truncated"),
    Planted("header alone.jpg", lambda path: path.write_bytes(encoded(picture())[:20]) and None, "truncated"),
    Planted("header alone.png", lambda path: path.write_bytes(encoded(picture(), "PNG")[:20]) and None, "truncated"),
    Planted("changed byte.png", _changed_pixel_byte, "damaged"),
    Planted("rest is zero.jpg", _writing(lambda: encoded(picture(90, 70))[:900].ljust(4_000, b"\0")), "truncated"),
    Planted("bomb.png", _writing(png_bomb), "bomb"),
    Planted("bomb.gif", _writing(gif_bomb), "bomb"),
    Planted("frame bomb.gif", _writing(gif_frame_bomb), "bomb"),
    Planted("bomb.webp", _writing(webp_bomb), "bomb"),
    Planted("bomb.bmp", _writing(bmp_bomb), "bomb"),
    Planted("bomb.ppm", _writing(lambda: b"P4\n40000 40000\n" + bytes(100)), "bomb"),
    Planted("bomb.tiff", _writing(lambda: grey_tiff(50_000, 50_000)), "bomb"),
    Planted(
        "tile bomb.tiff",
        _writing(lambda: grey_tiff(64, 64, _322=(4, (32_768,)), _323=(4, (32_768,)))),
        "bomb",
    ),
    Planted("passes.jpg", _writing(scan_bomb), "bomb"),
    Planted("text bomb.png", _writing(text_bomb), "metadata_bomb"),
    Planted("profile bomb.png", _writing(profile_bomb), "metadata_bomb"),
    Planted("sparse.bmp", _sparse, "too_many_bytes"),
    Planted("and archive.jpg", _writing(lambda: encoded(picture()) + zipped()), "polyglot"),
    Planted("and archive.tiff", _writing(lambda: encoded(picture(), "TIFF") + zipped()), "polyglot"),
    Planted("and document.jpg", _writing(lambda: commented(b"%PDF-1.4\n1 0 obj")), "polyglot"),
    Planted("and program.png", _writing(lambda: encoded(picture(), "PNG") + b"\x7fELF" + bytes(99)), "polyglot"),
    Planted("and page.gif", _writing(lambda: encoded(picture(), "GIF") + _TEXT), "polyglot"),
    Planted("and script.jpg", _writing(lambda: commented(b"<?php system($_GET['c']); ?>")), "polyglot"),
    Planted("nan.tiff", _writing(float_tiff), "unknown_range"),
    Planted(
        "deep range.tiff",
        _writing(lambda: encoded(Image.fromarray(np.full((4, 4), 1 << 20, dtype=np.int32)), "TIFF")),
        "unknown_range",
    ),
    Planted("lab.tiff", _writing(lab_tiff), "unsupported_colours"),
    Planted("out.jpg", _link_to(_outside), "link_out", ("link",)),
    Planted("device.png", _link_to(lambda _: Path("/dev/zero")), "link_out", ("link",)),
    Planted("up.jpg", _link_to(lambda _: Path("../../../elsewhere.jpg")), "broken_link", ("link",)),
    Planted("nowhere.jpg", _link_to(lambda _: Path("/nowhere/at/all.jpg")), "broken_link", ("link",)),
    Planted("circle.jpg", _link_in_circle, "broken_link", ("link",)),
    Planted("pipe.jpg", os.mkfifo, "not_a_file"),
    Planted("socket.jpg", _socket, "not_a_file"),
    Planted("in.jpg", _link_to(_inside), "", ("link",)),
    Planted("really a png.jpg", _writing(lambda: encoded(picture(), "PNG")), "", ("wrong_extension",)),
    Planted("behind.jpg", _writing(lambda: encoded(picture()) + b"camera's own notes"), "", ("trailing_bytes",)),
    Planted("behind.png", _writing(lambda: encoded(picture(), "PNG") + b"leftover"), "", ("trailing_bytes",)),
    Planted("padded.jpg", _writing(lambda: encoded(picture()) + bytes(512))),
    Planted("cmyk.jpg", _writing(lambda: encoded(picture().convert("CMYK"))), "", ("cmyk",)),
    Planted("16 bit.png", _writing(lambda: encoded(deep(), "PNG")), "", ("sixteen_bit",)),
    Planted("16 bit inverted.tiff", _writing(white_is_zero), "", ("sixteen_bit",)),
    Planted("16 bit colour.png", _writing(deep_rgb), "", ("sixteen_bit",)),
    Planted("1 bit.png", _writing(lambda: encoded(picture().convert("1"), "PNG")), "", ("bilevel",)),
    Planted("palette.png", _writing(lambda: encoded(picture().convert("P"), "PNG"))),
    Planted("palette with hole.png", _writing(palette_with_hole), "", ("transparent",)),
    Planted("alpha.png", _writing(lambda: encoded(half_transparent(), "PNG")), "", ("transparent",)),
    Planted("grey alpha.png", _writing(lambda: encoded(half_transparent().convert("LA"), "PNG")), "", ("transparent",)),
    Planted("moves.gif", _writing(lambda: frames("GIF")), "", ("several_frames",)),
    Planted("moves.webp", _writing(lambda: frames("WEBP")), "", ("several_frames",)),
    Planted("moves.png", _writing(lambda: frames("PNG")), "", ("several_frames",)),
    Planted("pages.tiff", _writing(lambda: frames("TIFF")), "", ("several_frames",)),
    Planted("endless pages.tiff", _writing(looping_tiff)),
    Planted("turned.jpg", _writing(turned), "", ("turned",)),
    Planted(
        "exif.jpg", _writing(lambda: with_exif(b"Exif\0\0MM\0*\0\0\0\x08\0\xff broken")), "", ("damaged_metadata",)
    ),
    Planted("exif noise.jpg", _writing(lambda: with_exif(b"Exif\0\0nothing of the kind")), "", ("damaged_metadata",)),
    Planted("profile.jpg", _writing(profiled), "", ("colour_profile",)),
    Planted("srgb.jpg", _writing(srgb)),
    Planted("notes.png", _writing(large_text), "", ("large_metadata",)),
    Planted("new\nline.jpg", _writing(lambda: encoded(picture())), "", ("odd_name",)),
    Planted("gpj.\u202egnp.jpg", _writing(lambda: encoded(picture())), "", ("odd_name",)),
    Planted("\x1b[31mred.jpg", _writing(lambda: encoded(picture())), "", ("odd_name",)),
    Planted("case.jpg", _pair_by_case, "", ("case_collision",)),
    Planted(f"{'long' * 60}.jpg", _writing(lambda: encoded(picture())), "", ("long_name",)),
    Planted("größe 木.jpg", _writing(lambda: encoded(picture()))),
)
