"""Copy the images that a table names, wherever they are, into one folder with a table of its own."""

import os
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from adapters.label_tables import LabelTable, named
from adapters.table_columns import FILE_NAME, TableChoice, find_roles
from adapters.tables import write_table
from transfer.data.labels import text_of
from transfer.errors import UserError

IMAGES, TABLE = "images", "metadata.csv"


def copy_table(
    table: LabelTable,
    choice: TableChoice,
    folder: Path,
    extensions: Collection[str],
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Copy every image of a table below `images/` and write metadata.csv beside it, with the other columns as they are.

    Folders that the images have in common are left away. Nothing but image files is copied.

    Args:
        table: whose paths are absolute, or start from the table's folder.
        choice: which column holds them.
        folder: that exists and is empty.
        extensions: of images, lower case with their dot.
        advance: called with the number of images since.

    Raises:
        UserError: an image is missing, is no image file or named twice, or there is no column of images.
    """
    column = find_roles([*table.columns], choice, str(table.path))["image"]
    base = (table.path.parent / (choice.images or "")).resolve()
    sources = [
        _source(base, text_of(value), place, extensions)
        for value, place in zip(table.columns[column], table.places, strict=True)
    ]
    top = Path(os.path.commonpath([source.parent for source in sources]))
    names = [f"{IMAGES}/{source.relative_to(top).as_posix()}" for source in sources]
    _refuse_twice(names, table)
    for source, name in zip(sources, names, strict=True):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        advance(1)
    others = {name: _texts(table, name) for name in table.columns if name not in (column, FILE_NAME)}
    write_table(folder / TABLE, [(FILE_NAME, *others), *zip(names, *others.values(), strict=True)])


def _source(base: Path, text: str, place: str, extensions: Collection[str]) -> Path:
    if not text or "\0" in text:
        raise UserError(f"There is no image path in {place} of the table; write one, or remove the row.")
    found = next((path for path in (base / text, base / text.replace("\\", "/")) if os.path.lexists(path)), None)
    if found is None:
        raise UserError(f"The image {text[:120]!r} in {place} of the table is not there; bring it, or remove the row.")
    path = found.parent.resolve() / found.name if ".." in found.parts else found  # a link's parent is elsewhere
    if path.suffix.lower() not in extensions or not path.is_file():
        raise UserError(f"{text[:120]!r} in {place} of the table is no image file; name files that end like images do.")
    return path


def _refuse_twice(names: Sequence[str], table: LabelTable) -> None:
    first: dict[str, str] = {}
    for name, place in zip(names, table.places, strict=True):
        if name in first:
            raise UserError(
                f"{table.path} names {name.removeprefix(f'{IMAGES}/')} in {first[name]} and in {place}; remove one row."
            )
        first[name] = place


def _texts(table: LabelTable, column: str) -> list[str]:
    """Return a column's cells as texts; a number that the table has a name for, by its name."""
    return [text_of(named(value, table.names_of.get(column, ()))) for value in table.columns[column]]
