"""Write files so that a reader sees the old content or the new, never half; read hand-offs and check what made them."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from transfer.errors import EnvironmentFault, UserError

RECORD_VERSION = 1
_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; on success it is flushed and takes the name, on failure it is removed.

    Raises:
        EnvironmentFault: the disk is full or the folder cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, UTF-8 with Unix line ends."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def flush(path: Path) -> None:
    """Bring a file, or the entries of a folder, to the disk.

    Raises:
        OSError: it is not there, or cannot be brought there.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def keep_newest(folder: Path, n_files: int, suffix: str = ".json") -> None:
    """Remove the files of a kind in a folder that were written the longest ago, until so many are left."""
    with suppress(OSError):  # another process may remove the same ones
        oldest_first = sorted(folder.glob(f"*{suffix}"), key=lambda path: path.stat().st_mtime_ns)
        for path in oldest_first[:-n_files]:
            path.unlink(missing_ok=True)


def write_plain_json(path: Path, payload: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON, atomically, without version or provenance."""
    write_text(path, json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_plain_json(path: Path) -> dict[str, Any]:
    """Read what `write_plain_json` wrote.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; run the stage that writes it with `rootstock run` or `dvc repro`.")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run `dvc repro` again.") from error
    return content


def write_json(path: Path, payload: Mapping[str, Any], made_from: Mapping[str, Path] | None = None) -> None:
    """Write a hand-off record: the payload, its version, and the sha256 of every input it was made from.

    Args:
        path: where the record goes.
        payload: JSON-able values; no time, run id or measured cost belongs here.
        made_from: name of an input -> the file it was read from.
    """
    digests = {name: sha256_of(source) for name, source in sorted((made_from or {}).items())}
    write_plain_json(path, {"version": RECORD_VERSION, "made_from": digests, **payload})


def read_json(path: Path, made_from: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """Read a hand-off record and refuse one that was made from other inputs.

    Args:
        path: the record.
        made_from: name of an input -> the file this reader uses; compared with the digests in the record.

    Raises:
        UserError: the record is missing, is not JSON, has another version, or was made from another input.
    """
    record = read_plain_json(path)
    if record.get("version") != RECORD_VERSION:
        raise UserError(
            f"{path} has record version {record.get('version')!r}, this code reads {RECORD_VERSION}; "
            "run `dvc repro` again."
        )
    for name, source in (made_from or {}).items():
        recorded = record["made_from"].get(name)
        if recorded != sha256_of(source):
            raise UserError(f"{path} was made from another {source} than the one there now; run `dvc repro` again.")
    return record


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _explained(error: OSError, path: Path) -> EnvironmentFault:
    if error.errno == errno.ENOSPC:
        return EnvironmentFault(
            f"The disk is full while writing {path}; free some space and run the same command again."
        )
    return EnvironmentFault(
        f"{path} cannot be written ({error.strerror}); check the folder and run the same command again."
    )
