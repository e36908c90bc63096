"""Archives that tests of unpacking make, and what comes out of one."""

import io
import tarfile
import zipfile
from pathlib import Path

from adapters.archives import Unpacked, unpack

WANTED = {".png", ".csv"}
LARGEST = 1_000_000
Entry = tuple[str, bytes]
GOOD = (("p/a/1.png", b"one"), ("p/b/2.PNG", b"two"), ("p/labels.csv", b"path,label\n"), ("p/run.sh", b"rm"))
KEPT = {"p/a/1.png": b"one", "p/b/2.PNG": b"two", "p/labels.csv": b"path,label\n"}


def unpacked(archive: Path, encoding: str | None = None) -> tuple[Unpacked, dict[str, bytes]]:
    folder = archive.parent / "out"
    folder.mkdir(exist_ok=True)
    done = unpack(archive, folder, WANTED, LARGEST, encoding=encoding)
    return done, {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def zip_file(folder: Path, *entries: Entry, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "t.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return path


def tar_file(folder: Path, *entries: Entry | tarfile.TarInfo, kind: str = "") -> Path:
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
