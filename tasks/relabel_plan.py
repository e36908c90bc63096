"""What decisions on labels ask for: files that move between class folders, cells and rows of tables that change."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from adapters.class_folders import FoundFile, Listing, list_class_folders
from adapters.image_files import EXTENSIONS
from adapters.json_files import sha256_of
from adapters.manifest_file import TEST, read_manifest
from adapters.relabelling import Decided, Move
from adapters.review_table import Decision
from adapters.table_columns import TableChoice
from adapters.table_paths import names_of
from adapters.table_rows import label_edits, path_edits, read_rows
from adapters.table_text import TableEdit
from transfer.errors import UserError
from transfer.records import Row

_AGAIN = "run `rootstock run` and `rootstock data review`, and decide again."


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Args:
        decided: every image whose label changes.
        moves: of images between class folders, or out of them.
        edits: of tables.
    """

    decided: tuple[Decided, ...]
    moves: tuple[Move, ...]
    edits: tuple[TableEdit, ...]


def planned(data: Path, listing: Listing, choice: TableChoice, decisions: Sequence[Decision]) -> Plan:
    """Return what decisions ask for, once every one of them is known to be possible.

    Where a table has the labels, they change there, rows of images that leave go, and no file moves. Where class
    folders have them, files move, and paths in a table beside them follow.

    Args:
        data: the data set's folder.
        listing: what it holds.
        choice: what params.yaml says of its table.
        decisions: of a person.

    Raises:
        UserError: one of them is not.
    """
    files, known = {file.path: file for file in listing.files}, {row.path: row for row in read_manifest().rows}
    rows = read_rows(data, EXTENSIONS, choice) if listing.tables and decisions else None
    in_table = rows is not None and rows.label is not None
    changing = []
    for one in decisions:
        file = _reviewed(data, one, files, known)
        _refuse_class(one, listing.classes, in_table=in_table)
        if file.class_name != one.new_class:  # else it says what `keep` says
            changing.append(one)
    _refuse_emptied(listing, files, changing, in_table=in_table)
    decided = tuple(Decided(one.path, one.sha256, one.new_class or "") for one in changing)
    if rows is not None and in_table:
        classes = {path: file.class_name for path, file in files.items()}
        return Plan(decided, (), label_edits(rows, classes, {one.path: one.new_class for one in decided}))
    moves = _moves(data, files, changing)
    edits = () if rows is None else path_edits(rows, {move.source: move.target for move in moves})
    return Plan(decided, moves, edits)


def _moves(data: Path, files: Mapping[str, FoundFile], decisions: Sequence[Decision]) -> tuple[Move, ...]:
    """Return where the images of decisions go, between class folders or out of them."""
    taken, moves = {name for path in files for name in names_of(path, EXTENSIONS)}, []
    depth = _depth(list_class_folders(data, EXTENSIONS)) if decisions else 0
    for one in decisions:
        file = files[one.path]
        target = "" if one.new_class is None else _free(_moved_to(file, one.new_class, depth), file, data, taken)
        taken |= names_of(target, EXTENSIONS)
        moves.append(Move(one.path, target, one.sha256))
    return tuple(moves)


def _reviewed(data: Path, one: Decision, files: Mapping[str, FoundFile], known: Mapping[str, Row]) -> FoundFile:
    """Return the file of a decision, which has to be the one that was reviewed."""
    where, file, row = f"Line {one.line}: {one.path!r}", files.get(one.path), known.get(one.path)
    if file is None:
        raise UserError(f"{where} is no image of {data}; {_AGAIN}")
    if row is None or row.sha256 != one.sha256:
        raise UserError(f"{where} is not the image that was reviewed, or the data set changed since; {_AGAIN}")
    if row.split == TEST:
        raise UserError(
            f"{where} is a test image, whose labels are sealed: mended by what a model says, they would flatter it; "
            "remove the line."
        )
    if file.class_name != one.given:
        raise UserError(f"{where} is labelled {file.class_name!r}, not {one.given!r} as the table says; {_AGAIN}")
    if not (data / one.path).is_file():
        raise UserError(f"{where} is named in a table, but its file is gone; {_AGAIN}")
    if sha256_of(data / one.path) != one.sha256:
        raise UserError(f"{where} has changed since it was reviewed; {_AGAIN}")
    return file


def _refuse_class(one: Decision, classes: Sequence[str], *, in_table: bool) -> None:
    if one.new_class is not None and one.new_class not in classes:
        named = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        remedy = "give it to an image in the table first" if in_table else "make its folder with an image in it first"
        raise UserError(
            f"Line {one.line}: there is no class {one.new_class!r} ({named}); write one of them, or {remedy}."
        )


def _depth(listing: Listing) -> int:
    """Return how many folders class folders lie in: one where those are splits, or a single one called train."""
    return int(bool(listing.given_splits) or len({file.path.partition("/")[0] for file in listing.files}) == 1)


def _moved_to(file: FoundFile, new_class: str, depth: int) -> PurePosixPath:
    """Return a file's path with its class folder changed; the split folder above and folders below stay."""
    parts = list(PurePosixPath(file.path).parts)
    parts[depth] = new_class
    return PurePosixPath(*parts)


def _free(path: PurePosixPath, file: FoundFile, data: Path, taken: set[str]) -> str:
    """Return a path that no file has: where the name is taken, the class that the image comes from is added to it.

    A name that differs by its ending or its capitals alone is taken as well: a table may call the other file by it.
    """
    stem, n = f"{path.stem}-from-{file.class_name}", 1
    found = path
    while names_of(str(found), EXTENSIONS) & taken or os.path.lexists(data / found):
        found, n = path.with_name(f"{stem}{f'-{n}' if n > 1 else ''}{path.suffix}"), n + 1
    return str(found)


def _refuse_emptied(
    listing: Listing, files: Mapping[str, FoundFile], decisions: Sequence[Decision], *, in_table: bool
) -> None:
    left = Counter((file.split, file.class_name) for file in listing.files)
    for one in decisions:
        file = files[one.path]
        left[file.split, file.class_name] -= 1
        if one.new_class is not None:
            left[file.split, one.new_class] += 1
    for (split, name), n_files in sorted(left.items()):
        if n_files == 0:
            within = f" of {split}" if split else ""
            what = "its rows" if in_table else "the class folder"
            raise UserError(
                f"The decisions would leave class {name!r}{within} without an image; keep some, or remove {what} by "
                "hand."
            )
