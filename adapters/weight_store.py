"""The store of published weights: a file lies under the sha256 of its bytes, wherever it came from.

`~/.cache/rootstock/weights/<sha256>/<name>`, or the folder that ROOTSTOCK_WEIGHTS names. A file copied into the store's
folder by hand, under its published name, is found as well. The store may be copied to another machine as it is.
"""

import glob
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters import environment
from adapters.json_files import sha256_of
from transfer.errors import EnvironmentFault, UserError

FOLDER = "ROOTSTOCK_WEIGHTS"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def store_folder() -> Path:
    """Return the store's folder, which need not exist."""
    named = environment.get(FOLDER)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "rootstock" / "weights"


def stored_names() -> set[str]:
    """Return the names of all files in the store."""
    return {path.name for path in (*store_folder().glob("*/*"), *store_folder().glob("*")) if _is_kept(path)}


def stored(name: str) -> Path | None:
    """Return the newest file of a name, None where there is none."""
    folder = store_folder()
    found = [path for path in folder.glob(f"*/{glob.escape(name)}") if _is_kept(path)]
    if found:
        return max(found, key=lambda path: path.stat().st_mtime_ns)
    return folder / name if _is_kept(folder / name) else None


def require_whole(path: Path, digest: str) -> None:
    """Refuse a file of the store whose bytes are not those it lies under.

    Args:
        path: of any file; one outside the store passes.
        digest: sha256 of its bytes.

    Raises:
        UserError: it was changed or damaged.
    """
    if path.parent.parent == store_folder() and path.parent.name != digest:
        raise UserError(f"{path} is damaged (its sha256 is {digest[:12]}...); delete it, and it is downloaded again.")


def fill(name: str, write: Callable[[Path], None]) -> Path:
    """Return the file of a name, made now if no other process has made it meanwhile.

    Args:
        name: of the file.
        write: writes the whole file to a path, or raises: then nothing is kept.

    Raises:
        EnvironmentFault: the folder cannot be written.
    """
    with _alone(name):
        found = stored(name)
        if found is not None:
            return found
        part = store_folder() / f".{name}.part"  # of one writer at a time: what a killed one left is written over
        try:
            write(part)
            target = store_folder() / sha256_of(part) / name
            target.parent.mkdir(exist_ok=True)
            return part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep two processes from fetching the same file twice."""
    from filelock import FileLock

    folder = store_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{name}.lock")
        lock.acquire()
    except OSError as error:
        raise EnvironmentFault(
            f"The store of weights {folder} cannot be written ({error.strerror}); set {FOLDER} to a folder that can."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _is_kept(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and (path.parent == store_folder() or _is_digest(path))


def _is_digest(path: Path) -> bool:
    return _SHA256.fullmatch(path.parent.name) is not None
