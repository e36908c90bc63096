"""What decisions on images change in the tables that describe a data set: cells of labels or of paths, whole rows."""

import os
import posixpath
import stat
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.json_files import sha256_of
from adapters.table_columns import TableChoice, find_roles
from adapters.table_paths import files_within, locate
from adapters.table_sheets import Sheet, find_tables, read_sheet
from adapters.table_text import TableEdit
from transfer.errors import UserError


@dataclass(frozen=True, slots=True)
class TableRows:
    """Which row of which table each image is in.

    Args:
        sheet: all rows.
        digests: table -> its sha256.
        image: the column of image paths.
        label: the column of labels; None where class folders give them.
        of: image -> its row of the sheet.
    """

    sheet: Sheet
    digests: Mapping[str, str]
    image: str
    label: str | None
    of: Mapping[str, int]


def read_rows(data_path: Path, extensions: Collection[str], choice: TableChoice) -> TableRows:
    """Find the rows of a data set that tables describe.

    Args:
        data_path: the data set's folder.
        extensions: of images, lower case with their dot.
        choice: what params.yaml says of the table.

    Raises:
        UserError: as `adapters.table_listing.list_data_set` would.
    """
    tables = find_tables(data_path, choice)
    digests = {name: sha256_of(data_path / name) for name in tables}
    sheet = read_sheet(data_path, tables, choice)
    roles = find_roles([*sheet.columns], choice, sheet.source)
    present = files_within(data_path)
    paths = locate(data_path, sheet.texts(roles["image"]), sheet.bases, sheet.places, present, extensions)
    of = {path: row for row, path in enumerate(paths)}
    return TableRows(sheet, digests, roles["image"], roles.get("label"), of)


def label_edits(rows: TableRows, classes: Mapping[str, str], decided: Mapping[str, str]) -> tuple[TableEdit, ...]:
    """Return what changes in each table when images get other labels or leave.

    A label is written as the table writes it most often: 1, 1.0 or "1", with or without quotes.

    Args:
        rows: of tables with labels.
        classes: image -> the class it is of.
        decided: image -> its new class, "" where it leaves.

    Raises:
        UserError: a table has no row of a class yet.
    """
    like = _examples(rows, classes)
    edits = []
    for table, images in _by_table(rows, decided).items():
        own = {path: rows.sheet.rows[rows.of[path]][1] for path in images}
        lacking = next((decided[path] for path in images if decided[path] and (table, decided[path]) not in like), None)
        if lacking is not None:
            raise UserError(
                f"{table} has no row of class {lacking!r} whose label could be written again; give one row that label "
                "by hand first."
            )
        edits.append(
            TableEdit(
                table,
                rows.digests[table],
                rows.label or "",
                like={own[path]: like[table, decided[path]] for path in images if decided[path]},
                removed=frozenset(own[path] for path in images if not decided[path]),
            )
        )
    return tuple(edits)


def path_edits(rows: TableRows, moved: Mapping[str, str]) -> tuple[TableEdit, ...]:
    """Return what changes in tables beside class folders when images move between these or leave.

    Args:
        rows: of tables without labels; they may lack images.
        moved: image -> its new path within the data set, "" where it leaves.
    """
    edits = []
    for table, images in _by_table(rows, [path for path in moved if path in rows.of]).items():
        own = {path: rows.sheet.rows[rows.of[path]][1] for path in images}
        edits.append(
            TableEdit(
                table,
                rows.digests[table],
                rows.image,
                texts={own[path]: _written(rows, path, moved[path]) for path in images if moved[path]},
                removed=frozenset(own[path] for path in images if not moved[path]),
            )
        )
    return tuple(edits)


def refuse_protected(data_path: Path, tables: Sequence[str], cache: Path) -> None:
    """Refuse tables that cannot be replaced, or that somebody wants to be left as they are.

    Args:
        data_path: the data set's folder.
        tables: within it.
        cache: DVC's, whose links are replaced by files of their own.

    Raises:
        UserError: a table is a link to elsewhere, behind one, read-only, or in a folder that is.
    """
    for table in tables:
        path = data_path / table
        is_dvcs = path.is_symlink() and path.resolve().is_relative_to(cache.resolve())
        if (path.is_symlink() and not is_dvcs) or not path.parent.resolve().is_relative_to(data_path.resolve()):
            raise UserError(
                f"{path} is a link to {path.resolve()}, or behind one, where other data sets may use it; put the table "
                "itself there, then apply the decisions again."
            )
        if not os.access(path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise UserError(f"{path.parent} cannot be written to, so {table} cannot change; make the folder writable.")
        found = path.stat()
        if not is_dvcs and found.st_nlink == 1 and not found.st_mode & stat.S_IWUSR:  # DVC's hard links are read-only
            raise UserError(
                f"{path} is read-only; make it writable with `chmod u+w` if its labels may change, then apply the "
                "decisions again."
            )


def _by_table(rows: TableRows, images: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in images:
        found[rows.sheet.rows[rows.of[path]][0]].append(path)
    return found


def _examples(rows: TableRows, classes: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """Return (table, class) -> a row there that has the class as it is written most often."""
    first: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    labels = rows.sheet.columns[rows.label or ""]
    for path, row in rows.of.items():
        table, number = rows.sheet.rows[row]
        written, key = repr(labels[row]), (table, classes.get(path, ""))
        counts[key][written] += 1
        first[key].setdefault(written, number)
    return {key: first[key][count.most_common(1)[0][0]] for key, count in counts.items()}


def _written(rows: TableRows, path: str, moved: str) -> str:
    """Return a path as a table that names the old one would write the new one."""
    row = rows.of[path]
    text = posixpath.relpath(moved, rows.sheet.bases[row] or ".")
    before = str(rows.sheet.columns[rows.image][row])
    return text.replace("/", "\\") if "\\" in before and "/" not in before else text
