"""Unpack images and tables from a zip or tar archive that nobody vouches for."""

import errno
import lzma
import posixpath
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from adapters.archive_members import CHUNK_BYTES, REPACK, Allowance, Member, opened
from adapters.class_folders import is_passed_over
from transfer.errors import EnvironmentFault, UserError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
FOREIGN = (".7z", ".rar", ".tar.zst", ".gz", ".bz2", ".xz", ".zst")
_MOST_MEMBERS = 5_000_000
_DAMAGES = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


@dataclass(slots=True)
class Unpacked:
    """What came out of an archive.

    Args:
        n_bytes: of them.
        left_out: ending ("" for none) -> number of files that were not unpacked.
        names: of the files, as they lie below the folder.
    """

    n_bytes: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)


def is_archive(path: Path) -> bool:
    """Say whether a file is called as an archive is, of a kind that can be unpacked here or not."""
    return path.name.lower().endswith((*ENDINGS, *FOREIGN))


def bare_name(path: Path) -> str:
    """Return an archive's name without its ending."""
    ending = next((one for one in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(one)), "")
    return path.name[: -len(ending)] if ending else path.stem


def unpack(
    archive: Path,
    folder: Path,
    extensions: Collection[str],
    largest_bytes: int,
    advance: Callable[[int], None] = lambda _: None,
    encoding: str | None = None,
) -> Unpacked:
    """Unpack the files of some kinds below an empty folder, and nothing else.

    No link, device, mode or owner is taken from the archive. What leads out of the folder, is there twice or looks
    like a bomb refuses the archive as a whole; the caller removes what had been written.

    Args:
        archive: a zip or tar file, the latter also compressed.
        folder: that exists and is empty.
        extensions: of the files that are wanted, lower case with their dot.
        largest_bytes: of a single file.
        advance: called with the number of files since.
        encoding: of names in an archive that does not say it; UTF-8 when None.

    Raises:
        UserError: it is no archive, damaged, encrypted or hostile, or a name in it is in no known encoding.
        EnvironmentFault: the disk has too little room.
    """
    done, allowed = Unpacked(), Allowance(archive, folder)
    with _explained(archive), opened(archive, encoding, allowed) as members:
        for number, member in enumerate(members):
            if number >= _MOST_MEMBERS:
                raise UserError(f"{archive} has more than {_MOST_MEMBERS:,} entries; pack fewer in each archive.")
            path = _safe_path(archive, member)
            if path is None or not _is_wanted(archive, member, path, extensions):
                done.left_out.update([PurePosixPath(path).suffix.lower()] if path else [])
                continue
            if path in done.names:
                raise UserError(f"{archive} holds {path} twice; {REPACK}.")
            done.n_bytes += _write(member, folder / path, largest_bytes, allowed)
            done.names.add(path)
            advance(1)
    return done


def _safe_path(archive: Path, member: Member) -> str | None:
    """Return where a member goes below the folder; None for hidden files and what systems leave behind.

    Raises:
        UserError: it would go elsewhere.
    """
    name = member.name.replace("\\", "/")
    path = posixpath.normpath(name)
    _refuse_outside(archive, member.name, name)
    if member.kind == "link":
        _refuse_outside(archive, f"{member.name} -> {member.target}", posixpath.normpath(member.target))
    if member.kind == "device":
        raise UserError(f"{archive} holds {member.name}, which is no file but a device or a pipe; {REPACK}.")
    parts = path.split("/")
    return None if any(map(is_passed_over, parts)) else path


def _refuse_outside(archive: Path, shown: str, name: str) -> None:
    if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":" or "\0" in name:
        raise UserError(f"{archive} holds {shown[:120]!r}, which leads out of the folder it is unpacked to; {REPACK}.")


def _is_wanted(archive: Path, member: Member, path: str, extensions: Collection[str]) -> bool:
    if PurePosixPath(path).suffix.lower() not in extensions:
        return False
    if member.kind == "link":
        raise UserError(
            f"{archive} holds {path} as a link to {member.target[:120]!r}; pack the files themselves "
            f"(tar -h --hard-dereference, or zip)."
        )
    return True


def _too_large(archive: Path, name: str, largest_bytes: int) -> UserError:
    return UserError(f"{name} in {archive} has more than {largest_bytes:,} bytes; {REPACK}.")


def _write(member: Member, place: Path, largest_bytes: int, allowed: Allowance) -> int:
    """Write a member's content; return its size, counted rather than believed."""
    n_bytes = 0
    if member.n_bytes > largest_bytes:
        raise _too_large(allowed.archive, member.name, largest_bytes)
    place.parent.mkdir(parents=True, exist_ok=True)
    with member.read() as content, place.open("xb") as file:
        while chunk := content.read(CHUNK_BYTES):
            n_bytes += len(chunk)
            if n_bytes > largest_bytes:
                raise _too_large(allowed.archive, member.name, largest_bytes)
            allowed.write(len(chunk))
            file.write(chunk)
    if n_bytes != member.n_bytes:
        raise UserError(f"{allowed.archive} is damaged: {member.name} is cut off; get it again.")
    return n_bytes


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGES as error:
        raise UserError(
            f"{archive} cannot be unpacked as zip or tar ({str(error) or type(error).__name__}); get it again, or "
            f"unpack it yourself and name the folder."
        ) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise UserError(f"{archive} holds a file and a folder of one name, or one name twice; {REPACK}.") from error
    except UnicodeError as error:
        raise UserError(
            f"A name in {archive} is not in the encoding that was named ({error}); name another."
        ) from error
    except LookupError as error:
        raise UserError(f"--encoding: {error}; name one that Python knows, for example cp932.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentFault(f"The disk is full while {archive} is unpacked; free some space.") from error
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"A name in {archive} is longer than a file's name can be; {REPACK}.") from error
        raise UserError(
            f"{archive} cannot be read ({error.strerror or error}); make it readable, or get it again."
        ) from error
