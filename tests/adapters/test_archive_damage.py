"""Archives that are damaged, cut off or no archives: refused in a sentence, whatever their bytes."""

import bz2
import contextlib
import gzip
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters.archive_files import GOOD, KEPT, tar_file, unpacked, zip_file
from transfer.errors import UserError


def _cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def _flipped(content: bytes) -> bytes:
    place = content.index(b"PAYLOAD") if b"PAYLOAD" in content else len(content) // 2
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [_cut, _flipped])
@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_damaged_archives_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes], kind: str) -> None:
    entry = ("a/1.png", b"PAYLOAD" + random.Random(1).randbytes(50_000))
    archive = (
        zip_file(tmp_path, entry, kind=zipfile.ZIP_STORED) if kind == "zip" else tar_file(tmp_path, entry, kind=kind)
    )
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(UserError, match=r"cannot be unpacked as zip or tar|cannot be read|is cut off"):
        unpacked(archive)


@pytest.mark.parametrize("kind", ["", "gz"])
@pytest.mark.parametrize("damage", ["no end", "half a head", "head"])
def test_a_tar_that_stops_between_its_entries_is_refused(tmp_path: Path, damage: str, kind: str) -> None:
    path = tar_file(tmp_path, *GOOD)
    content = bytearray(path.read_bytes())
    third = content.index(b"p/labels.csv")
    content = content[: third + 200] if damage == "half a head" else content[:third] if damage == "no end" else content
    if damage == "head":
        content[third] ^= 0xFF
    path.write_bytes(gzip.compress(content) if kind else content)
    with pytest.raises(UserError, match=r"cannot be unpacked as zip or tar \(an entry's head is damaged, or the end"):
        unpacked(path)


def test_a_zip_at_the_end_of_a_tar_is_passed_over(tmp_path: Path) -> None:
    inner = zip_file(tmp_path, ("c/1.png", b"x"), kind=zipfile.ZIP_STORED).read_bytes()
    assert unpacked(tar_file(tmp_path, *GOOD, ("p/inner.zip", inner)))[1] == KEPT


@pytest.mark.parametrize(
    "content", [b"", b"no archive", b"PK\x03\x04 no", b"\x1f\x8b no", bz2.compress(b"no tar"), b"7z\xbc\xaf"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be unpacked|cannot be read"):
        unpacked(tmp_path / "t.zip")


def test_a_method_of_packing_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = zip_file(tmp_path, ("a/1.png", b"x"), kind=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for start, offset in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        content[content.index(start) + offset] = 97
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be unpacked as zip or tar \(.*compression"):
        unpacked(path)


def test_a_name_too_long_for_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"longer than a file's name can be"):
        unpacked(tar_file(tmp_path, (f"{'n' * 300}.png", b"x")))


def test_a_tree_as_deep_as_archives_allow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"longer than a file's name can be"):
        unpacked(zip_file(tmp_path, (f"{'d/' * 5000}1.png", b"x")))


def test_bytes_of_chance_never_end_in_anything_else(tmp_path: Path) -> None:
    draw = random.Random(2)
    whole = {kind: tar_file(tmp_path, *GOOD, kind=kind).read_bytes() for kind in ("", "gz")}
    whole["zip"] = zip_file(tmp_path, *GOOD).read_bytes()
    for trial in range(300):
        content = bytearray(draw.choice([*whole.values()]))
        for _ in range(draw.randint(1, 6)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        folder = tmp_path / str(trial)
        folder.mkdir()
        (folder / "t.zip").write_bytes(content)
        with contextlib.suppress(UserError):
            unpacked(folder / "t.zip")
        assert not (tmp_path.parent / "1.png").exists()
