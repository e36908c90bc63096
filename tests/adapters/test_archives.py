"""Archives that nobody vouches for: images and tables come out, nothing leads out, bombs and damage are refused."""

import bz2
import contextlib
import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import archive_members
from adapters.archives import Unpacked, bare_name, is_archive, unpack
from transfer.errors import EnvironmentFault, UserError

WANTED = {".png", ".csv"}
LARGEST = 1_000_000
Entry = tuple[str, bytes]


def _unpack(archive: Path, encoding: str | None = None) -> tuple[Unpacked, dict[str, bytes]]:
    folder = archive.parent / "out"
    folder.mkdir(exist_ok=True)
    done = unpack(archive, folder, WANTED, LARGEST, encoding=encoding)
    return done, {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _zip(folder: Path, *entries: Entry, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "t.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return path


def _tar(folder: Path, *entries: Entry | tarfile.TarInfo, kind: str = "") -> Path:
    path = folder / f"t.tar{kind and '.'}{kind}"
    with tarfile.open(path, f"w:{kind}", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size, info.mode = len(entry[1]), 0o6777
                archive.addfile(info, io.BytesIO(entry[1]))
    return path


def _special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


GOOD = (("p/a/1.png", b"one"), ("p/b/2.PNG", b"two"), ("p/labels.csv", b"path,label\n"), ("p/run.sh", b"rm"))
KEPT = {"p/a/1.png": b"one", "p/b/2.PNG": b"two", "p/labels.csv": b"path,label\n"}


@pytest.mark.parametrize("kind", ["zip", "", "gz", "bz2", "xz"])
def test_images_and_tables_come_out_and_nothing_else(tmp_path: Path, kind: str) -> None:
    archive = _zip(tmp_path, *GOOD) if kind == "zip" else _tar(tmp_path, *GOOD, kind=kind)
    done, found = _unpack(archive)
    assert found == KEPT
    assert (done.left_out, done.n_bytes, done.names) == ({".sh": 1}, sum(map(len, KEPT.values())), set(KEPT))
    assert all(stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) & 0o7111 == 0 for name in KEPT)


@pytest.mark.parametrize("make", [_zip, _tar])
def test_hidden_files_and_clutter_stay(tmp_path: Path, make: Callable[..., Path]) -> None:
    names = ("__MACOSX/p/._1.png", "p/.1.png", ".git/x.png", "p/Thumbs.db", "./q/2.png", "p\\c\\3.png", "a//b/./4.png")
    _, found = _unpack(make(tmp_path, *((name, b"x") for name in names)))
    assert set(found) == {"q/2.png", "p/c/3.png", "a/b/4.png"}


@pytest.mark.parametrize("make", [_zip, _tar])
@pytest.mark.parametrize(
    "name",
    ["../1.png", "a/../../1.png", "/tmp/1.png", "//1.png", "C:\\1.png", "c:/1.png", "..\\..\\1.png", "\\\\host\\1.png",
     "../run.sh", "..", "a/.."],
)  # fmt: skip
def test_what_leads_out_refuses_the_archive(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    archive = make(tmp_path, ("p/0.png", b"x"), (name, b"x"))
    with pytest.raises(UserError, match=r"which leads out of the folder it is unpacked to; nothing was unpacked"):
        _unpack(archive)
    assert {path.name for path in tmp_path.rglob("*.png")} <= {"0.png"}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (_special("a/1.png", tarfile.SYMTYPE, "../../../etc/passwd"), r"leads out of the folder"),
        (_special("a", tarfile.SYMTYPE, "/etc"), r"leads out of the folder"),
        (_special("a/1.png", tarfile.LNKTYPE, "../x"), r"leads out of the folder"),
        (_special("a/1.png", tarfile.SYMTYPE, "0.png"), r"as a link to 'a/0.png'; pack the files themselves"),
        (_special("a/1.png", tarfile.LNKTYPE, "p/0.png"), r"as a link to 'p/0.png'"),
        (_special("a/1.png", tarfile.CHRTYPE), r"no file but a device or a pipe"),
        (_special("a/1.png", tarfile.BLKTYPE), r"no file but a device or a pipe"),
        (_special("fifo", tarfile.FIFOTYPE), r"no file but a device or a pipe"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, entry: tarfile.TarInfo, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _unpack(_tar(tmp_path, ("p/0.png", b"x"), entry))


def test_a_folder_that_is_a_link_is_not_made(tmp_path: Path) -> None:
    _, found = _unpack(_tar(tmp_path, _special("a", tarfile.SYMTYPE, "p"), ("a/1.png", b"x"), ("p/2.png", b"y")))
    assert found == {"a/1.png": b"x", "p/2.png": b"y"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        info = zipfile.ZipInfo("a/1.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "../../etc/passwd")
    with pytest.raises(UserError, match=r"'a/1.png -> a/../../etc/passwd', which leads out"):
        _unpack(tmp_path / "t.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("make", [_zip, _tar])
@pytest.mark.parametrize(
    "names", [("a.png", "a.png"), ("a.png", "./a.png"), ("x\\a.png", "x/a.png"), ("a.png", "a.png/b.png")]
)
def test_one_name_twice_is_refused(tmp_path: Path, make: Callable[..., Path], names: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=r"twice; nothing was unpacked|one name twice; nothing was unpacked"):
        _unpack(make(tmp_path, *((name, b"x") for name in names)))


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path, ("a/1.png", b"x"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is encrypted \(a/1.png\); unpack it with its password"):
        _unpack(path)


def _zip_of_bytes(folder: Path, name: bytes) -> Path:
    path = _zip(folder, ("Q" * len(name), b"x"))
    path.write_bytes(path.read_bytes().replace(b"Q" * len(name), name))
    return path


def test_names_in_other_encodings(tmp_path: Path) -> None:
    name = "犬/1.png"
    assert set(_unpack(_zip_of_bytes(tmp_path, name.encode()))[1]) == {name}
    path = _zip_of_bytes(tmp_path, name.encode("cp932"))
    with pytest.raises(UserError, match=r"is not in UTF-8; say which encoding it is in, .*--encoding cp932"):
        _unpack(path)
    with pytest.raises(UserError, match=r"--encoding: unknown encoding: no"):
        _unpack(path, "no")
    with pytest.raises(UserError, match=r"not in the encoding that was named"):
        _unpack(path, "ascii")
    (tmp_path / "out" / name).unlink()
    assert set(_unpack(path, "cp932")[1]) == {name}


def test_names_of_a_tar_in_other_encodings(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.GNU_FORMAT, encoding="cp932") as archive:
        archive.addfile(tarfile.TarInfo("犬/1.png"))
    with pytest.raises(UserError, match=r"is not in UTF-8"):
        _unpack(tmp_path / "t.tar")
    assert set(_unpack(tmp_path / "t.tar", "cp932")[1]) == {"犬/1.png"}


@pytest.fixture
def small_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "_HARMLESS_BYTES", 2_000_000)


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_a_bomb_of_many_files_is_refused(tmp_path: Path, small_allowance: None, kind: str) -> None:
    entries = [(f"a/{number}.png", bytes(900_000)) for number in range(12)]
    archive = _zip(tmp_path, *entries) if kind == "zip" else _tar(tmp_path, *entries, kind=kind)
    with pytest.raises(
        UserError, match=r"unpacks to more than [\d,]+ bytes, over 100 times its size, as a decompression"
    ):
        _unpack(archive)


def test_a_bomb_in_what_is_passed_over_is_refused(tmp_path: Path, small_allowance: None) -> None:
    archive = _tar(tmp_path, ("a/0.bin", bytes(9_000_000)), ("a/1.png", b"x"), kind="bz2")
    with pytest.raises(UserError, match=r"as a decompression bomb does"):
        _unpack(archive)


@pytest.mark.parametrize("make", [_zip, _tar])
def test_a_single_file_beyond_what_is_decoded_is_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    content = random.Random(0).randbytes(LARGEST + 1)
    with pytest.raises(UserError, match=r"a/1.png in .* has more than 1,000,000 bytes"):
        _unpack(make(tmp_path, ("a/1.png", content)))


def test_a_size_that_is_a_lie_is_counted(tmp_path: Path) -> None:
    path = _zip(tmp_path, ("a/1.png", bytes(LARGEST + 1000)))
    content = path.read_bytes()
    true, lie = (LARGEST + 1000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    path.write_bytes(content.replace(true, lie))
    with pytest.raises(UserError, match=r"cannot be unpacked as zip or tar \(Bad CRC-32|is cut off"):
        _unpack(path)
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file()) <= LARGEST


def test_a_head_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    (tmp_path / "t.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20))
    with pytest.raises(UserError, match=r"head of [\d,]+ bytes, as no honest one has|cannot be unpacked"):
        _unpack(tmp_path / "t.tar")


def test_a_full_disk_is_no_fault_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(EnvironmentFault, match=r"The disk has no room for what is in .*t.zip"):
        _unpack(_zip(tmp_path, *GOOD))


def _cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def _flipped(content: bytes) -> bytes:
    place = content.index(b"PAYLOAD") if b"PAYLOAD" in content else len(content) // 2
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [_cut, _flipped])
@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_damaged_archives_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes], kind: str) -> None:
    entry = ("a/1.png", b"PAYLOAD" + random.Random(1).randbytes(50_000))
    archive = _zip(tmp_path, entry, kind=zipfile.ZIP_STORED) if kind == "zip" else _tar(tmp_path, entry, kind=kind)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(UserError, match=r"cannot be unpacked as zip or tar|cannot be read|is cut off"):
        _unpack(archive)


@pytest.mark.parametrize("kind", ["", "gz"])
@pytest.mark.parametrize("damage", ["no end", "half a head", "head"])
def test_a_tar_that_stops_between_its_entries_is_refused(tmp_path: Path, damage: str, kind: str) -> None:
    path = _tar(tmp_path, *GOOD)
    content = bytearray(path.read_bytes())
    third = content.index(b"p/labels.csv")
    content = content[: third + 200] if damage == "half a head" else content[:third] if damage == "no end" else content
    if damage == "head":
        content[third] ^= 0xFF
    path.write_bytes(gzip.compress(content) if kind else content)
    with pytest.raises(UserError, match=r"cannot be unpacked as zip or tar \(an entry's head is damaged, or the end"):
        _unpack(path)


def test_a_zip_at_the_end_of_a_tar_is_passed_over(tmp_path: Path) -> None:
    inner = _zip(tmp_path, ("c/1.png", b"x"), kind=zipfile.ZIP_STORED).read_bytes()
    assert _unpack(_tar(tmp_path, *GOOD, ("p/inner.zip", inner)))[1] == KEPT


@pytest.mark.parametrize(
    "content", [b"", b"no archive", b"PK\x03\x04 no", b"\x1f\x8b no", bz2.compress(b"no tar"), b"7z\xbc\xaf"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be unpacked|cannot be read"):
        _unpack(tmp_path / "t.zip")


def test_a_method_of_packing_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path, ("a/1.png", b"x"), kind=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for start, offset in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        content[content.index(start) + offset] = 97
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be unpacked as zip or tar \(.*compression"):
        _unpack(path)


def test_a_name_too_long_for_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"longer than a file's name can be"):
        _unpack(_tar(tmp_path, (f"{'n' * 300}.png", b"x")))


def test_a_tree_as_deep_as_archives_allow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"longer than a file's name can be"):
        _unpack(_zip(tmp_path, (f"{'d/' * 5000}1.png", b"x")))


def test_bytes_of_chance_never_end_in_anything_else(tmp_path: Path) -> None:
    draw = random.Random(2)
    whole = {kind: _tar(tmp_path, *GOOD, kind=kind).read_bytes() for kind in ("", "gz")}
    whole["zip"] = _zip(tmp_path, *GOOD).read_bytes()
    for trial in range(300):
        content = bytearray(draw.choice([*whole.values()]))
        for _ in range(draw.randint(1, 6)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        folder = tmp_path / str(trial)
        folder.mkdir()
        (folder / "t.zip").write_bytes(content)
        with contextlib.suppress(UserError):
            _unpack(folder / "t.zip")
        assert not (tmp_path.parent / "1.png").exists()


def test_names_of_archives() -> None:
    assert [bare_name(Path(name)) for name in ("a/b.tar.gz", "c.ZIP", "d.e.tgz")] == ["b", "c", "d.e"]
    assert is_archive(Path("x.7z"))
    assert not is_archive(Path("x.csv"))
