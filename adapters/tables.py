"""Tables as comma-separated files: a heading, then a line a row."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
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
        stream.writelines(csv_lines(lines))


def csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    r"""Yield each row as a line that ends in "\n", its cells quoted wherever a reader would take them for several.

    Args:
        rows: the heading first.
    """
    line = io.StringIO(newline="")
    writer = csv.writer(line, lineterminator="\r\n")  # before Python 3.13, only letters of the line's end are quoted
    for row in rows:
        writer.writerow(row)
        yield line.getvalue().removesuffix("\r\n") + "\n"
        line.seek(0)
        line.truncate()


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table: heading -> text, of every row.

    Raises:
        UserError: it is missing.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; run the stage that writes it with `rootstock run` or `dvc repro`.")
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
