"""Thumbnails show the whole image, upright and small."""

import io

import pytest
from PIL import Image

from transfer.data.decoding import UndecodableError
from transfer.data.thumbnails import thumbnail


def _file(size: tuple[int, int], orientation: int = 1, mode: str = "RGB") -> bytes:
    image, stream, exif = Image.new(mode, size), io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    image.save(stream, "PNG", exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (_file((400, 100)), (80, 20)),
        (_file((400, 100), orientation=6), (20, 80)),
        (_file((10, 5)), (40, 20)),
        (_file((1000, 1)), (80, 1)),
        (_file((100, 100), mode="P"), (80, 80)),
    ],
)
def test_the_whole_image_is_shown_upright(content: bytes, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(thumbnail(content, 80))) as found:
        assert (found.format, found.mode, found.size) == ("JPEG", "RGB", size)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(UndecodableError):
        thumbnail(b"no image", 80)
