"""Tables as comma-separated files: a heading, then a line a row."""

import csv
from collections.abc import Sequence
from pathlib import Path

from adapters.json_files import atomic_write
from transfer.errors import UserError


def write_table(path: Path, lines: Sequence[Sequence[object]]) -> None:
    """Write a table atomically.

    Args:
        path: the file.
        lines: the heading first.

    Raises:
        EnvironmentFault: the disk is full or the folder cannot be written.
    """
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table: heading -> text, of every row.

    Raises:
        UserError: it is missing.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; run the stage that writes it with `rootstock run` or `dvc repro`.")
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
