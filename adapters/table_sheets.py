"""Find the tables of a data set's folder and put their rows below one another."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.class_folders import SPLIT_FOLDERS
from adapters.label_tables import KINDS, LabelTable, read_label_table
from adapters.table_columns import TableChoice
from transfer.data.labels import text_of
from transfer.errors import UserError

METADATA = tuple(f"metadata{kind}" for kind in KINDS if kind != ".tsv")


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of one table, or of one for each split, below one another.

    Args:
        source: what sentences call it.
        columns: name -> a value a row.
        places: what sentences call each row.
        bases: the folder that each row's path starts from, within the data set's.
        splits: that the folder of a row's table says, else "".
        names_of: column -> what its whole numbers stand for.
        files: of the tables, within the data set's folder.
        rows: the table that each row is in, and its number there, from 0.
    """

    source: str
    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]
    bases: Sequence[str]
    splits: Sequence[str]
    names_of: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]
    rows: Sequence[tuple[str, int]]

    def texts(self, column: str) -> list[str]:
        """Return a column's cells as texts."""
        return [text_of(value) for value in self.columns[column]]


def find_tables(data_path: Path, choice: TableChoice) -> dict[str, str]:
    """Return table -> the split that its folder says, both within the data set's folder.

    Args:
        data_path: the data set's folder.
        choice: what params.yaml says of the table.

    Raises:
        UserError: the named table is not there, is outside or of another kind; or two tables could be meant.
    """
    if choice.table is not None:
        _refuse_table(data_path, choice.table)
        return {choice.table: ""}
    if not data_path.is_dir():
        return {}
    here = [name for name in METADATA if (data_path / name).is_file()]
    if len(here) > 1:
        raise UserError(
            f"{data_path} holds {' and '.join(here)}; keep one of them, or name it with data.table={here[0]}."
        )
    if here:
        return {here[0]: ""}
    of_split = {
        f"{folder.name}/{name}": SPLIT_FOLDERS[folder.name.lower()]
        for folder in sorted(data_path.iterdir())
        if folder.name.lower() in SPLIT_FOLDERS and folder.is_dir() and not folder.is_symlink()
        for name in METADATA
        if (folder / name).is_file()
    }
    twice = next((split for split, count in Counter(of_split.values()).items() if count > 1), None)
    if twice is not None:
        both = [table for table, split in of_split.items() if split == twice]
        raise UserError(f"{data_path} holds {' and '.join(both)}, both of {twice}; keep one of them.")
    return of_split


def _refuse_table(data_path: Path, table: str) -> None:
    path = Path(table)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"data.table is {table!r}, which is outside data.path {data_path}, where DVC would notice no change; put "
            f"the table into that folder, or name as data.path a folder that holds both."
        )
    if path.suffix.lower() not in KINDS:
        raise UserError(f"data.table is {table!r}, but must end in {', '.join(KINDS)}; save the table as one of these.")
    if not (data_path / path).is_file():
        raise UserError(
            f"data.table is {table!r}, but {data_path} holds no such file; name one, or set data.table=null."
        )


def read_sheet(data_path: Path, tables: Mapping[str, str], choice: TableChoice) -> Sheet:
    """Read tables and put their rows below one another.

    Args:
        data_path: the data set's folder.
        tables: what `find_tables` returned.
        choice: what params.yaml says of them.

    Raises:
        UserError: see `adapters.label_tables.read_label_table`.
    """
    read = {name: read_label_table(data_path / name) for name in tables}
    head = dict.fromkeys(column for table in read.values() for column in table.columns)
    splits = {name: "" if set(tables.values()) == {"train"} else split for name, split in tables.items()}
    bases = {name: choice.images or Path(name).parent.as_posix() for name in tables}
    return Sheet(
        source=" and ".join(str(table.path) for table in read.values()),
        columns={column: [v for table in read.values() for v in _values(table, column)] for column in head},
        places=[f"{place} of {table.path}" for table in read.values() for place in table.places],
        bases=[bases[name] for name, table in read.items() for _ in table.places],
        splits=[splits[name] for name, table in read.items() for _ in table.places],
        names_of={column: names for table in read.values() for column, names in table.names_of.items()},
        files=tuple(tables),
        rows=[(name, number) for name, table in read.items() for number in range(len(table.places))],
    )


def _values(table: LabelTable, column: str) -> Sequence[Any]:
    return table.columns[column] if column in table.columns else [None] * len(table.places)
