"""Files with faults, as bytes: what the gallery plants."""

import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin


def picture(width: int = 40, height: int = 28, seed: int = 0) -> Image.Image:
    """Return a smooth colour picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Return an image's file as bytes."""
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, body: bytes, extra: bytes = b"") -> bytes:
    """Return a PNG of a header and compressed pixels as they are given."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_bomb(side: int = 10_000) -> bytes:
    """Return a PNG of side x side black pixels that is valid to its last bit, 1000 times smaller than they are."""
    deflate = zlib.compressobj(9)
    row = bytes(1 + side * 3)
    body = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    return png(side, side, 8, 2, body)


def tiff(entries: dict[int, tuple[int, tuple[int, ...]]], data: bytes) -> bytes:
    """Return a little-endian TIFF of one page: tag -> (type 3 or 4, values); its pixels begin at byte 8."""
    count, start = len(entries), 8 + len(data) + len(data) % 2
    spill_at, spill, table = start + 2 + 12 * count + 4, b"", b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) <= 4:
            table += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
        else:
            table += struct.pack("<HHII", tag, kind, len(values), spill_at + len(spill))
            spill += packed
    head = b"II*\0" + struct.pack("<I", start)
    return head + data.ljust(start - 8, b"\0") + struct.pack("<H", count) + table + bytes(4) + spill


def grey_tiff(width: int, height: int, **more: tuple[int, tuple[int, ...]]) -> bytes:
    data = zlib.compress(bytes(64))
    tags = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (8,)),
        259: (3, (8,)),
        262: (3, (1,)),
        277: (3, (1,)),
        **{int(tag[1:]): value for tag, value in more.items()},
    }
    if 322 in tags:
        return tiff({**tags, 324: (4, (8,)), 325: (4, (len(data),))}, data)
    return tiff({**tags, 273: (4, (8,)), 278: (4, (height,)), 279: (4, (len(data),))}, data)


def gif_bomb() -> bytes:
    small = bytearray(encoded(Image.new("L", (8, 8), 9), "GIF"))
    small[6:10] = struct.pack("<HH", 60_000, 60_000)
    return bytes(small)


def gif_frame_bomb() -> bytes:
    small = bytearray(encoded(Image.new("L", (8, 8), 9), "GIF"))
    place = small.index(b"\x2c", 13)
    small[place + 5 : place + 9] = struct.pack("<HH", 60_000, 60_000)
    return bytes(small)


def webp_bomb() -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xfe\x3f\0" + b"\xfe\x3f\0"
    frame = encoded(Image.new("RGB", (16, 16)), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(body) + len(frame)) + b"WEBP" + body + frame


def bmp_bomb() -> bytes:
    small = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    small[18:26] = struct.pack("<ii", 100_000, 100_000)
    return bytes(small)


def scan_bomb(n_scans: int = 3_000) -> bytes:
    """Return a progressive JPEG that is drawn over and over again."""
    content = encoded(Image.new("L", (2_000, 2_000), 128), progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * n_scans + b"\xff\xd9"


def text_bomb() -> bytes:
    unfolds = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * (8 << 20), 9))
    return png(8, 8, 8, 0, zlib.compress(bytes(72)), unfolds)


def profile_bomb() -> bytes:
    unfolds = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(32 << 20), 9))
    return png(8, 8, 8, 0, zlib.compress(bytes(72)), unfolds)


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("run.py", "print('hello')")
    return stream.getvalue()


def pickled() -> bytes:
    return b"\x80\x04\x95\x0e\0\0\0\0\0\0\0}\x94\x8c\x05class\x94\x8c\x03cat\x94s."


def commented(text: bytes) -> bytes:
    content = encoded(picture())
    return content[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + content[2:]


def float_tiff() -> bytes:
    values = np.full((6, 6), np.nan, dtype=np.float32)
    values[0] = 1.0
    return encoded(Image.fromarray(values), "TIFF")


def lab_tiff() -> bytes:
    return encoded(Image.new("LAB", (6, 6), (120, 10, 20)), "TIFF")


def with_exif(exif: bytes) -> bytes:
    return encoded(picture(), exif=exif)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(), exif=exif)


def profiled() -> bytes:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return encoded(picture(), icc_profile=lab.tobytes())


def srgb() -> bytes:
    return encoded(picture(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def deep() -> Image.Image:
    return Image.fromarray(np.arange(0, 65_536, 64, dtype=np.uint16).reshape(32, 32))


def deep_rgb() -> bytes:
    rows = b"".join(b"\0" + bytes(range(48)) for _ in range(8))
    return png(8, 8, 16, 2, zlib.compress(rows))


def half_transparent() -> Image.Image:
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def palette_with_hole() -> bytes:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    return encoded(image, "PNG", transparency=0)


def frames(kind: str) -> bytes:
    frames = [picture(seed=seed) for seed in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def large_text() -> bytes:
    text = PngImagePlugin.PngInfo()
    for number in range(5):
        text.add_text(f"note {number}", "x" * (1 << 18))
    return encoded(picture(), "PNG", pnginfo=text)


def svg() -> bytes:
    return b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def looping_tiff() -> bytes:
    content = bytearray(encoded(picture(), "TIFF"))
    start = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    struct.pack_into("<I", content, start + 2 + 12 * count, start)
    return bytes(content)


def white_is_zero() -> bytes:
    stream = io.BytesIO()
    image = deep()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    image.save(stream, "TIFF", tiffinfo=tags)
    return stream.getvalue()
