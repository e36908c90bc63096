"""What DVC keeps of a data set, told by its cache's files: so that asking starts no process."""

import configparser
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = ".dir"  # what the digest of a folder ends in
_FEW = 1000  # files that are asked for one by one; of more, whole folders of the cache are listed


@dataclass(frozen=True, slots=True)
class Kept:
    """How much of a data set a cache holds.

    Args:
        n_files: of the data set; None where its list of files is gone too.
        n_here: files of it that the cache holds.
    """

    n_files: int | None
    n_here: int

    @property
    def whole(self) -> bool:
        """Say whether every file can be brought back."""
        return self.n_files is not None and self.n_here == self.n_files


def cache_folder(project: Path) -> Path:
    """Return the folder of the project's cache, as its own configuration names it."""
    named = _setting(project, "cache", "dir")
    return Path(project, ".dvc", named or "cache").resolve()


def remote(project: Path) -> str | None:
    """Return the name of the remote that the project's data are pushed to; None where there is none."""
    return _setting(project, "core", "remote")


def kept(project: Path, digest: str) -> Kept:
    """Say how much of a data set the cache holds.

    Args:
        project: the project's folder.
        digest: md5 of a folder (ending in .dir) or of a file.
    """
    objects = cache_folder(project) / "files" / "md5"
    if not digest.endswith(DIRECTORY):
        return Kept(1, int(_object(objects, digest).is_file()))
    try:
        entries = json.loads(_object(objects, digest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Kept(None, 0)
    digests = [str(entry["md5"]) for entry in entries]
    if len(digests) < _FEW:
        return Kept(len(digests), sum(_object(objects, one).is_file() for one in digests))
    listed = {prefix: _names(objects / prefix) for prefix in {one[:2] for one in digests}}
    return Kept(len(digests), sum(one[2:] in listed[one[:2]] for one in digests))


def object_place(project: Path, digest: str) -> Path:
    """Return where the cache has an object, or would have it."""
    return _object(cache_folder(project) / "files" / "md5", digest)


def _object(objects: Path, digest: str) -> Path:
    return objects / digest[:2] / digest[2:]


def _names(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in os.scandir(folder)) if folder.is_dir() else frozenset()


def _setting(project: Path, section: str, key: str) -> str | None:
    found = None
    for name in ("config", "config.local"):  # the second overrules the first
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            parser.read(project / ".dvc" / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        found = parser.get(section, key, fallback=found)
    return found or None


def place_of(project: Path, digest: str) -> Path | None:
    """Return where the cache has a file; None where it does not hold it."""
    place = object_place(project, digest)
    return place if digest and place.is_file() else None


def content(project: Path, digest: str) -> bytes | None:
    """Return the bytes of a file of the cache; None where the cache does not hold it."""
    place = place_of(project, digest)
    return None if place is None else place.read_bytes()


def code_digest(path: Path) -> str:
    """Return the digest that DVC gives a file or folder of code, in which it ignores what Python compiled; "" for none.

    Args:
        path: of the file or folder.
    """
    if path.is_file():
        return digest_of_file(path)
    if not path.is_dir():
        return ""
    files = [one for one in path.rglob("*") if one.is_file()]
    counted = [one for one in files if one.suffix != ".pyc" and not one.name.endswith(".part")]
    return digest_of_folder({one.relative_to(path).as_posix(): digest_of_file(one) for one in counted})


def digest_of_file(path: str | Path) -> str:
    """Return the digest that DVC gives a file."""
    with open(path, "rb") as stream:  # noqa: PTH123 making a Path of each of many takes longer than DVC
        return hashlib.file_digest(stream, _md5).hexdigest()


def digest_of_folder(files: Mapping[str, str]) -> str:
    """Return the digest that DVC gives a folder.

    Args:
        files: path -> digest of every file in it.
    """
    entries = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    return _md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + DIRECTORY


def _md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)
