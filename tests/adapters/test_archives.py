"""Archives that nobody vouches for: images and tables come out, nothing leads out, bombs and damage are refused."""

import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import archive_members
from adapters.archives import bare_name, is_archive
from tests.adapters.archive_files import GOOD, KEPT, LARGEST, tar_file, unpacked, zip_file
from transfer.errors import EnvironmentFault, UserError


def _special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("kind", ["zip", "", "gz", "bz2", "xz"])
def test_images_and_tables_come_out_and_nothing_else(tmp_path: Path, kind: str) -> None:
    archive = zip_file(tmp_path, *GOOD) if kind == "zip" else tar_file(tmp_path, *GOOD, kind=kind)
    done, found = unpacked(archive)
    assert found == KEPT
    assert (done.left_out, done.n_bytes, done.names) == ({".sh": 1}, sum(map(len, KEPT.values())), set(KEPT))
    assert all(stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) & 0o7111 == 0 for name in KEPT)


@pytest.mark.parametrize("make", [zip_file, tar_file])
def test_hidden_files_and_clutter_stay(tmp_path: Path, make: Callable[..., Path]) -> None:
    names = ("__MACOSX/p/._1.png", "p/.1.png", ".git/x.png", "p/Thumbs.db", "./q/2.png", "p\\c\\3.png", "a//b/./4.png")
    _, found = unpacked(make(tmp_path, *((name, b"x") for name in names)))
    assert set(found) == {"q/2.png", "p/c/3.png", "a/b/4.png"}


@pytest.mark.parametrize("make", [zip_file, tar_file])
@pytest.mark.parametrize(
    "name",
    ["../1.png", "a/../../1.png", "/tmp/1.png", "//1.png", "C:\\1.png", "c:/1.png", "..\\..\\1.png", "\\\\host\\1.png",
     "../run.sh", "..", "a/.."],
)  # fmt: skip
def test_what_leads_out_refuses_the_archive(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    archive = make(tmp_path, ("p/0.png", b"x"), (name, b"x"))
    with pytest.raises(UserError, match=r"which leads out of the folder it is unpacked to; nothing was unpacked"):
        unpacked(archive)
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
        unpacked(tar_file(tmp_path, ("p/0.png", b"x"), entry))


def test_a_folder_that_is_a_link_is_not_made(tmp_path: Path) -> None:
    _, found = unpacked(tar_file(tmp_path, _special("a", tarfile.SYMTYPE, "p"), ("a/1.png", b"x"), ("p/2.png", b"y")))
    assert found == {"a/1.png": b"x", "p/2.png": b"y"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        info = zipfile.ZipInfo("a/1.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "../../etc/passwd")
    with pytest.raises(UserError, match=r"'a/1.png -> a/../../etc/passwd', which leads out"):
        unpacked(tmp_path / "t.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("make", [zip_file, tar_file])
@pytest.mark.parametrize(
    "names", [("a.png", "a.png"), ("a.png", "./a.png"), ("x\\a.png", "x/a.png"), ("a.png", "a.png/b.png")]
)
def test_one_name_twice_is_refused(tmp_path: Path, make: Callable[..., Path], names: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=r"twice; nothing was unpacked|one name twice; nothing was unpacked"):
        unpacked(make(tmp_path, *((name, b"x") for name in names)))


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = zip_file(tmp_path, ("a/1.png", b"x"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is encrypted \(a/1.png\); unpack it with its password"):
        unpacked(path)


def _zip_of_bytes(folder: Path, name: bytes) -> Path:
    path = zip_file(folder, ("Q" * len(name), b"x"))
    path.write_bytes(path.read_bytes().replace(b"Q" * len(name), name))
    return path


def test_names_in_other_encodings(tmp_path: Path) -> None:
    name = "犬/1.png"
    assert set(unpacked(_zip_of_bytes(tmp_path, name.encode()))[1]) == {name}
    path = _zip_of_bytes(tmp_path, name.encode("cp932"))
    with pytest.raises(UserError, match=r"is not in UTF-8; say which encoding it is in, .*--encoding cp932"):
        unpacked(path)
    with pytest.raises(UserError, match=r"--encoding: unknown encoding: no"):
        unpacked(path, "no")
    with pytest.raises(UserError, match=r"not in the encoding that was named"):
        unpacked(path, "ascii")
    (tmp_path / "out" / name).unlink()
    assert set(unpacked(path, "cp932")[1]) == {name}


def test_names_of_a_tar_in_other_encodings(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.GNU_FORMAT, encoding="cp932") as archive:
        archive.addfile(tarfile.TarInfo("犬/1.png"))
    with pytest.raises(UserError, match=r"is not in UTF-8"):
        unpacked(tmp_path / "t.tar")
    assert set(unpacked(tmp_path / "t.tar", "cp932")[1]) == {"犬/1.png"}


@pytest.fixture
def small_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "_HARMLESS_BYTES", 2_000_000)


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_a_bomb_of_many_files_is_refused(tmp_path: Path, small_allowance: None, kind: str) -> None:
    entries = [(f"a/{number}.png", bytes(900_000)) for number in range(12)]
    archive = zip_file(tmp_path, *entries) if kind == "zip" else tar_file(tmp_path, *entries, kind=kind)
    with pytest.raises(
        UserError, match=r"unpacks to more than [\d,]+ bytes, over 100 times its size, as a decompression"
    ):
        unpacked(archive)


def test_a_bomb_in_what_is_passed_over_is_refused(tmp_path: Path, small_allowance: None) -> None:
    archive = tar_file(tmp_path, ("a/0.bin", bytes(9_000_000)), ("a/1.png", b"x"), kind="bz2")
    with pytest.raises(UserError, match=r"as a decompression bomb does"):
        unpacked(archive)


@pytest.mark.parametrize("make", [zip_file, tar_file])
def test_a_single_file_beyond_what_is_decoded_is_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    content = random.Random(0).randbytes(LARGEST + 1)
    with pytest.raises(UserError, match=r"a/1.png in .* has more than 1,000,000 bytes"):
        unpacked(make(tmp_path, ("a/1.png", content)))


def test_a_size_that_is_a_lie_is_counted(tmp_path: Path) -> None:
    path = zip_file(tmp_path, ("a/1.png", bytes(LARGEST + 1000)))
    content = path.read_bytes()
    true, lie = (LARGEST + 1000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    path.write_bytes(content.replace(true, lie))
    with pytest.raises(UserError, match=r"cannot be unpacked as zip or tar \(Bad CRC-32|is cut off"):
        unpacked(path)
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file()) <= LARGEST


def test_a_head_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    (tmp_path / "t.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20))
    with pytest.raises(UserError, match=r"head of [\d,]+ bytes, as no honest one has|cannot be unpacked"):
        unpacked(tmp_path / "t.tar")


def test_a_full_disk_is_no_fault_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(EnvironmentFault, match=r"The disk has no room for what is in .*t.zip"):
        unpacked(zip_file(tmp_path, *GOOD))


def test_names_of_archives() -> None:
    assert [bare_name(Path(name)) for name in ("a/b.tar.gz", "c.ZIP", "d.e.tgz")] == ["b", "c", "d.e"]
    assert is_archive(Path("x.7z"))
    assert not is_archive(Path("x.csv"))
