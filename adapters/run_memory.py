"""What finished runs came to, a line of JSON each, for later choices: appended whole, never changed.

The file lies in the project's state, or where ROOTSTOCK_MEMORY says, so that several projects can share one.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters import environment
from adapters.project import state_folder
from transfer.errors import UserError

FILE = "memory.jsonl"
_MOST_BYTES = 16_000_000  # that are read, the newest ones: some 30,000 runs


def memory_file(project: Path) -> Path:
    """Return where runs are remembered.

    Args:
        project: whose runs, unless the environment names a file.

    Raises:
        UserError: the environment names a folder.
    """
    named = environment.get(environment.MEMORY)
    if named and (project / named).is_dir():
        raise UserError(f"{environment.MEMORY} is {named}, a folder; name a file in it, or unset it.")
    return project / named if named else state_folder(project) / FILE


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line, whole or not at all for a reader; a half-written one of a killed process stays apart.

    Args:
        path: of the memory; made where it is missing.
        line: JSON-able.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        text = json.dumps(line, sort_keys=True, allow_nan=False) + "\n"
        stream.write((("" if _ends_a_line(stream.fileno()) else "\n") + text).encode())
        os.fsync(stream.fileno())


def read(path: Path) -> tuple[dict[str, Any], ...]:
    """Return the lines, oldest first; what is no line of ours is left out.

    Args:
        path: of the memory; one that is missing or cannot be read remembers nothing.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _MOST_BYTES))
            texts = stream.read().split(b"\n")
    except OSError:
        return ()
    return tuple(line for line in map(_parsed, texts) if line is not None)


def _ends_a_line(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return size == 0 or os.pread(handle, 1, size - 1) == b"\n"


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
