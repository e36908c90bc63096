"""What is installed here, against what the lock file asks for."""

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from transfer.errors import UserError


def python_version() -> str:
    """Return the running Python's version, for example "3.11.7"."""
    return ".".join(map(str, sys.version_info[:3]))


def version_of(package: str) -> str:
    """Return the version of an installed package."""
    return metadata.version(package)


def differences(lock: Path) -> list[str]:
    """Return a phrase for every package that is missing or has another version than the lock says.

    Args:
        lock: a requirements file of `name==version [; marker]` lines.

    Raises:
        UserError: there is no such file.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    if not lock.is_file():
        raise UserError(f"{lock} is missing; restore it from git.")
    installed = {canonicalize_name(found.name): found.version for found in metadata.distributions()}
    found = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        text = line.split(" #")[0].strip().rstrip("\\").strip()
        if not text or text.startswith(("#", "-")):
            continue
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        version = installed.get(canonicalize_name(wanted.name))
        if version is None:
            found.append(f"{wanted.name} is missing")
        elif not wanted.specifier.contains(version, prereleases=True):
            found.append(f"{wanted.name} is {version}, the lock says {str(wanted.specifier).removeprefix('==')}")
    return found


def tool_version(name: str) -> str | None:
    """Return the first line of `name --version`; None when the tool is not on PATH."""
    if shutil.which(name) is None:
        return None
    done = subprocess.run([name, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip().partition("\n")[0] or None


def free_bytes(folder: Path) -> int:
    """Return how many bytes this user may still write on the folder's disk."""
    return shutil.disk_usage(folder).free


def count_runs(database: Path) -> int:
    """Return how many runs an MLflow database holds; opened read-only.

    Raises:
        UserError: the file is no MLflow database, or is damaged.
    """
    import sqlite3

    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            return int(connection.execute("select count(*) from runs").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UserError(
            f"{database} cannot be read as an MLflow database ({error}); move it away, runs make a new one."
        ) from error
