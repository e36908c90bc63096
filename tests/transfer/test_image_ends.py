"""Where an image ends: at the end of what Pillow wrote, whatever is appended; and what else a file is."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from transfer.data.image_ends import also, end_of_image, ends_early, has_trailing, jpeg_shape
from transfer.data.signatures import begins_as, other_content


def _written(kind: str, seed: int = 0, **options: Any) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((50, 30)).save(stream, format=kind, **options)
    return stream.getvalue()


FILES = [
    ("JPEG", _written("JPEG")),
    ("JPEG", _written("JPEG", progressive=True)),
    ("JPEG", _written("JPEG", restart_marker_blocks=2, comment=b"\xff\xd9 is no end here")),
    ("PNG", _written("PNG")),
    ("GIF", _written("GIF")),
    ("WEBP", _written("WEBP")),
    ("WEBP", _written("WEBP", lossless=True)),
]


@given(file=st.sampled_from(FILES), behind=st.binary(max_size=300))
def test_an_image_ends_where_it_was_written_to(file: tuple[str, bytes], behind: bytes) -> None:
    kind, content = file
    end = end_of_image(content + behind, kind)
    assert end is not None
    assert end - len(content) in (0, 1)  # a WebP's last chunk is padded to an even length
    assert has_trailing(content + b"\0\xff\n", end) is False
    assert has_trailing(content + b"\0\0x" + behind, end) is True
    assert begins_as(content) == kind


@given(file=st.sampled_from([file for file in FILES if file[0] != "PNG"]), share=st.floats(0.05, 0.99))
def test_what_is_cut_ends_early(file: tuple[str, bytes], share: float) -> None:
    kind, content = file
    assert ends_early(content[: int(share * len(content))], kind)
    assert not ends_early(content, kind)


@pytest.mark.parametrize(("options", "n_scans"), [({}, 1), ({"progressive": True}, 10)])
def test_passes_over_the_pixels_are_counted(options: dict[str, Any], n_scans: int) -> None:
    """Libjpeg's own script for colour pictures (`jpeg_simple_progression`) has ten."""
    assert jpeg_shape(_written("JPEG", **options)).n_scans == n_scans


@given(noise=st.binary(max_size=400), start=st.integers(0, 60))
def test_walking_over_any_bytes_ends(noise: bytes, start: int) -> None:
    for kind, content in FILES:
        if kind == "PNG":
            continue
        damaged = content[:start] + noise + content[start + len(noise) :]
        end = end_of_image(damaged, kind)
        assert end is None or end >= 0
        also(damaged, end)


@given(names=st.lists(st.text("abc", min_size=1), max_size=3, unique=True), comment=st.binary(max_size=50))
def test_an_archive_behind_an_image_is_what_zipfile_opens(names: list[str], comment: bytes) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.comment = comment
        for name in names:
            archive.writestr(name, "text")
    whole = _written("TIFF") + stream.getvalue()
    opened = zipfile.ZipFile(io.BytesIO(whole)).namelist()
    assert (also(whole, None) == "a ZIP archive") == bool(opened)


@given(seed=st.integers(0, 1 << 30), n_bytes=st.integers(0, 70_000))
def test_noise_is_no_archive(seed: int, n_bytes: int) -> None:
    """Drawn by NumPy: Hypothesis itself tries the very words that a program looks for."""
    assert also(_written("JPEG") + np.random.default_rng(seed).bytes(n_bytes), None) == ""


@pytest.mark.parametrize(
    ("content", "name", "is_image"),
    [
        (b"PK\x03\x04" + bytes(30), "a ZIP archive", False),
        (b"\n <HTML><body>", "HTML", False),
        (b'<?xml version="1.0"?><svg xmlns="x">', "SVG", True),
        (b"\x80\x04K\x01.", "a Python pickle", False),
        (b"\0\0\0\x1cftypavif", "AVIF", True),
        (b"\0\0\0\x1cftypisom", "a film", False),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer, whose file was not fetched", False),
    ],
)
def test_what_is_no_image_is_named(content: bytes, name: str, is_image: bool) -> None:
    found = other_content(content)
    assert found is not None
    assert (found.name, found.is_image) == (name, is_image)


@pytest.mark.parametrize("content", [b"", b"\x80", b"hello", b"<?xml version='1.0'?><rss>", bytes(300)])
def test_what_is_not_recognised_is_not_named(content: bytes) -> None:
    assert other_content(content) is None
    assert begins_as(content) == ""
