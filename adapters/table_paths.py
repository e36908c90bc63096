"""From the paths that a table writes to the files of a data set's folder."""

import os
import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from transfer.errors import UserError

_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+://|data:)")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]|^\\\\")
_LONGEST_NAME_BYTES, _LONGEST_PATH_BYTES = 255, 3000
_IMPORT = "`rootstock data import` makes a data set of a table and the files that it names"


def files_within(data_path: Path) -> frozenset[str]:
    """Return the files that DVC sees in a data set's folder, relative to it: none behind links to folders.

    Raises:
        UserError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be listed ({error.strerror}); make it readable.") from error

    found = []
    for folder, _, names in os.walk(data_path, onerror=refuse):
        inside = os.path.relpath(folder, data_path)
        found += names if inside == "." else [f"{inside}/{name}" for name in names]
    return frozenset(found)


def locate(
    data_path: Path,
    texts: Sequence[str],
    bases: Sequence[str],
    places: Sequence[str],
    present: Collection[str],
    extensions: Collection[str],
) -> list[str]:
    """Return where each row's image is, relative to the data set's folder, with forward slashes.

    A backslash is a slash unless a file is really called so. Where one file alone fits, its ending may be left out, and
    capitals and the composition of accents may differ, as systems change them. Files that are not there are returned
    all the same, unless all of them are missing.

    Args:
        data_path: the data set's folder.
        texts: paths as the table has them.
        bases: the folder, within `data_path`, that each of them starts from.
        places: what sentences call each row.
        present: what `files_within` returned.
        extensions: of images, lower case with their dot.

    Raises:
        UserError: an address, a path that leads out of the folder or behind a link, a row twice, or nothing found.
    """
    paths = [_within(text, base, place, present) for text, base, place in zip(texts, bases, places, strict=True)]
    paths = _completed(paths, present, extensions)
    _refuse_twice(paths, places)
    missing = [number for number, path in enumerate(paths) if path not in present]
    for number in missing:
        _refuse_link(data_path, paths[number], places[number])
    if len(missing) == len(paths):
        raise _nothing_found(data_path, texts, places, present)
    return paths


def left_over(present: Collection[str], used: Collection[str]) -> dict[str, int]:
    """Return ending -> number of the files that are not used; hidden ones are passed over."""
    rest = (path for path in present if path not in used and not any(p.startswith(".") for p in path.split("/")))
    return dict(sorted(Counter(PurePosixPath(path).suffix.lower() for path in rest).items()))


def _within(text: str, base: str, place: str, present: Collection[str]) -> str:
    _refuse_strange(text, place)
    as_written = posixpath.normpath(posixpath.join(base, text))
    path = as_written
    if "\\" in text and as_written not in present:
        path = posixpath.normpath(posixpath.join(base, text.replace("\\", "/")))
    if path.startswith(("/", "../")) or path in ("..", "."):
        raise UserError(
            f"The image {text[:120]!r} of {place} is outside the data set's folder, where DVC would notice no change; "
            f"name as data.path a folder that holds table and images (data.path=FOLDER data.table=...); {_IMPORT}."
        )
    parts = [len(os.fsencode(part)) for part in path.split("/")]
    if max(parts) > _LONGEST_NAME_BYTES or sum(parts) > _LONGEST_PATH_BYTES:
        raise UserError(f"The image path of {place} is longer than a file's name can be; mend the table.")
    return path


def _refuse_strange(text: str, place: str) -> None:
    shown = repr(text[:120])
    if not text:
        raise UserError(f"There is no image path in {place}; write one, or remove the row.")
    if _ADDRESS.match(text):
        raise UserError(f"{shown} of {place} is an address, no file; download the images and write their paths there.")
    if text.startswith(("/", "~/")) or _DRIVE.match(text):
        raise UserError(
            f"{shown} of {place} is an absolute path, which is another one on another machine; write it relative to "
            f"the table's folder; {_IMPORT}."
        )
    if "\0" in text:
        raise UserError(f"The image path {shown} of {place} holds a zero byte; mend the table.")


def _completed(paths: Sequence[str], present: Collection[str], extensions: Collection[str]) -> list[str]:
    """Find files whose names were written without their ending, in capitals, or with accents composed otherwise."""
    if all(path in present for path in paths):
        return list(paths)
    alike: dict[str, list[str]] = defaultdict(list)
    for path in present:
        for name in names_of(path, extensions):
            alike[name].append(path)
    return [path if path in present or len(alike[_folded(path)]) != 1 else alike[_folded(path)][0] for path in paths]


def names_of(path: str, extensions: Collection[str]) -> set[str]:
    """Return all that a table may call a file: with and without its ending, capitals and accents made alike.

    Args:
        path: of the file.
        extensions: of images, lower case with their dot.
    """
    stem, ending = posixpath.splitext(path)
    return {_folded(path), _folded(stem)} if ending.lower() in extensions else {_folded(path)}


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _refuse_twice(paths: Sequence[str], places: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for path, place in zip(paths, places, strict=True):
        if path in first:
            raise UserError(
                f"{path} is in {first[path]} and in {place}; an image has one row and one label: remove the others."
            )
        first[path] = place


def _refuse_link(data_path: Path, path: str, place: str) -> None:
    if (data_path / path).is_dir():
        raise UserError(f"{path} of {place} is a folder, not an image; write the path of a file there.")
    if (data_path / path).exists():
        raise UserError(
            f"{path} of {place} is behind a link to a folder, where DVC notices no change; put the folder itself there."
        )


def _nothing_found(data_path: Path, texts: Sequence[str], places: Sequence[str], present: Collection[str]) -> UserError:
    wanted = texts[0].replace("\\", "/").removeprefix("./")
    first = f"{texts[0][:120]!r} of {places[0]}"
    about = f"None of the {len(texts)} images that the table names is in {data_path}, first {first}"
    folder = next((path[: -len(wanted) - 1] for path in sorted(present) if path.endswith(f"/{wanted}")), None)
    if folder is not None:
        return UserError(f"{about}; it is in {folder}/: say so with data.images={folder}.")
    return UserError(f"{about}; put the images there, or name with data.images=FOLDER where the paths start from.")
