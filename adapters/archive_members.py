"""The entries of a zip or tar archive, one after the other, without believing what it says of its size."""

import bz2
import gzip
import lzma
import posixpath
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from transfer.errors import EnvironmentFault, UserError

REPACK = "nothing was unpacked; unpack it with a tool that you trust, look at it, and pack it again"
CHUNK_BYTES = 1 << 20
_LONGEST_HEAD_BYTES = 1 << 24  # of what describes a member of a tar archive
_HARMLESS_BYTES = 200_000_000  # that may come out of an archive of any size
_MOST_RATIO = 100  # bytes that may come out for each byte of the archive, beyond that
_SPARE_BYTES = 1_000_000_000  # of the disk that stay free
_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1
_TAR_MARK = slice(257, 262)  # of a tar archive that is not compressed


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive.

    Args:
        name: as the archive has it.
        n_bytes: that it says it has.
        kind: "file", "link" or "device".
        target: of a link, from the archive's top.
        read: opens its content.
    """

    name: str
    n_bytes: int
    kind: str
    target: str
    read: Callable[[], IO[bytes]]


class Allowance:
    """How many bytes may still come out of an archive."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self.archive = archive
        self.most = max(_HARMLESS_BYTES, _MOST_RATIO * archive.stat().st_size)
        self.room = shutil.disk_usage(folder).free - _SPARE_BYTES
        self.written = 0

    def refuse_beyond(self, n_bytes: int) -> None:
        """Refuse that so many bytes come out of it.

        Raises:
            UserError: they are too many for its size.
        """
        if n_bytes > self.most:
            raise UserError(
                f"{self.archive} unpacks to more than {self.most:,} bytes, over {_MOST_RATIO} times its size, as a "
                f"decompression bomb does; {REPACK}."
            )

    def write(self, n_bytes: int) -> None:
        """Count bytes that are about to be written.

        Raises:
            UserError: they are too many for the archive's size.
            EnvironmentFault: they are too many for the disk.
        """
        self.written += n_bytes
        self.refuse_beyond(self.written)
        if self.written > self.room:
            raise EnvironmentFault(
                f"The disk has no room for what is in {self.archive} (1 GB stays free); free some space and try again."
            )


class _Tape:
    """A compressed tar archive, read forwards: counts what comes out, and refuses heads that would fill the memory."""

    def __init__(self, stream: Any, allowed: Allowance) -> None:
        self.stream, self.allowed, self.last = stream, allowed, b""

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next bytes; they stay at hand as the last ones."""
        if n_bytes < 0 or n_bytes > _LONGEST_HEAD_BYTES:
            raise UserError(f"{self.allowed.archive} has a head of {n_bytes:,} bytes, as no honest one has; {REPACK}.")
        self.allowed.refuse_beyond(self.stream.tell() + n_bytes - CHUNK_BYTES)
        self.last = self.stream.read(n_bytes)
        return self.last

    def seek(self, place: int, whence: int = 0) -> int:
        """Go on to a place."""
        self.allowed.refuse_beyond(place - CHUNK_BYTES)
        return int(self.stream.seek(place, whence))

    def tell(self) -> int:
        """Return the place."""
        return int(self.stream.tell())


@contextmanager
def opened(archive: Path, encoding: str | None, allowed: Allowance) -> Iterator[Iterator[Member]]:
    """Yield the entries of an archive that are no folders, in its order; each has to be read before the next.

    Args:
        archive: a zip or tar file, the latter also compressed.
        encoding: of names in an archive that does not say it; UTF-8 when None.
        allowed: counts what comes out of it.

    Raises:
        UserError: it is encrypted, a bomb, or a name in it is not in the encoding; what is damaged raises as Python's
            own modules do.
    """
    with archive.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    if start[_TAR_MARK] != b"ustar" and zipfile.is_zipfile(archive):  # a tar may end with a zip that is packed in it
        with zipfile.ZipFile(archive, metadata_encoding=encoding) as packed:
            yield _of_zip(archive, packed, encoding)
        return
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
    opener = next((one for magic, one in openers.items() if start.startswith(magic)), open)
    with opener(archive, "rb") as stream:
        tape = _Tape(stream, allowed)
        readable: Any = tape
        with tarfile.open(fileobj=readable, mode="r:", encoding=encoding or "utf-8") as tar:
            yield _of_tar(archive, tar, tape)
        while tape.read(CHUNK_BYTES):  # the digest of what was packed comes last
            pass


def _of_zip(archive: Path, packed: zipfile.ZipFile, encoding: str | None) -> Iterator[Member]:
    for info in packed.infolist():
        if info.is_dir():
            continue
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise UserError(
                f"{archive} is encrypted ({info.filename}); unpack it with its password and pack it plainly."
            )
        name = info.filename
        if encoding is None and not info.flag_bits & _UTF8_FLAG and not name.isascii():
            name = _in_utf8(archive, name.encode("cp437"))
        unix = (info.external_attr >> 16) & 0o170000
        kind = "link" if unix == 0o120000 else "device" if unix in (0o010000, 0o020000, 0o060000, 0o140000) else "file"
        target = ""
        if kind == "link" and info.file_size < CHUNK_BYTES:
            target = posixpath.join(posixpath.dirname(name), packed.read(info).decode("utf-8", "replace"))
        yield Member(name, info.file_size, kind, target, partial(packed.open, info))


def _of_tar(archive: Path, tar: tarfile.TarFile, tape: _Tape) -> Iterator[Member]:
    for info in iter(tar.next, None):
        if info.isdir():
            continue
        name = info.name
        if any("\udc80" <= letter <= "\udcff" for letter in name):
            name = _in_utf8(archive, name.encode("utf-8", "surrogateescape"))
        kind = "file" if info.isreg() else "link" if info.issym() or info.islnk() else "device"
        target = info.linkname if info.islnk() else posixpath.join(posixpath.dirname(name), info.linkname)
        yield Member(name, info.size, kind, target, partial(_content, tar, info))
    if tape.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a head that it cannot read for the end
        raise tarfile.ReadError("an entry's head is damaged, or the end is missing")


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(info)
    if content is None:
        raise tarfile.TarError(f"{info.name} has no content")
    return content


def _in_utf8(archive: Path, name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"The name {name[:60]!r} in {archive} is not in UTF-8; say which encoding it is in, for example "
            f"--encoding cp932, or pack the files again."
        ) from error
