"""Read a table that names images and says what they are: CSV, JSON lines or Parquet, into columns of plain values."""

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfer.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = (".csv", ".tsv", ".jsonl", ".parquet")
MOST_ROWS = 20_000_000
_MOST_BYTES = 4_000_000_000
_SEPARATORS = (",", ";", "\t", "|")
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_LONGEST_CELL = 1 << 24
_ITS_INDEX = ("", "__index_level_0__")  # what pandas calls a column of row numbers


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The content of a table.

    Args:
        path: of the file.
        columns: name -> a value a row: text, number, truth value, list, mapping or None; of a CSV file text alone.
        places: what a sentence calls each row, for example "line 17".
        names_of: column -> what its whole numbers stand for, where the file says so itself.
    """

    path: Path
    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]
    names_of: Mapping[str, tuple[str, ...]]


def read_label_table(path: Path) -> LabelTable:
    """Read a table by the ending of its name.

    Args:
        path: of a file whose ending is one of `KINDS`.

    Raises:
        UserError: it is missing, damaged, too large, empty, not in UTF-8, or its rows do not fit its head.
    """
    kind = path.suffix.lower()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} has more than {_MOST_BYTES:,} bytes; keep what is needed of it and try again.")
        table = _of_parquet(path) if kind == ".parquet" else (_of_json if kind == ".jsonl" else _of_csv)(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); put a readable table there.") from error
    if not table.places:
        raise UserError(f"{path} has no rows; write one a line, an image each.")
    return table


def _of_csv(path: Path) -> LabelTable:
    text = decoded(path)[2]
    separator = separator_of(text)
    usual = csv.field_size_limit(_LONGEST_CELL)  # of the whole process
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        head = [name.strip() for name in next(_filled(reader), [])]
        _refuse_head(path, head)
        rows, places = [], []
        begun = reader.line_num + 1
        for row in reader:
            if row:
                if len(row) != len(head):
                    raise UserError(
                        f"Line {begun} of {path} has {len(row)} cells and its head {len(head)}, separated by "
                        f"{separator!r}; mend the line, or put quotes around a cell that holds the separator."
                    )
                rows.append(row)
                places.append(f"line {begun}")
            begun = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path} is damaged near line {reader.line_num} ({error}); mend it there.") from error
    finally:
        csv.field_size_limit(usual)
    columns: dict[str, Sequence[Any]] = dict(zip(head, zip(*rows, strict=True), strict=True)) if rows else {}
    return LabelTable(path, _without_index(columns), places, {})


def decoded(path: Path) -> tuple[bytes, str, str]:
    """Return the byte-order mark of a table of text (or none), its encoding, and its text.

    Raises:
        UserError: it is neither in UTF-8 nor in UTF-16 with its mark.
    """
    content = path.read_bytes()
    mark = next((one for one in _MARKS if content.startswith(one)), b"")
    encoding, content = _MARKS.get(mark, "utf-8"), content.removeprefix(mark)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} is not in UTF-8 (line {line}, {error.reason}); save it as UTF-8, in a spreadsheet 'CSV UTF-8'."
        ) from error
    if "\0" in text:
        raise UserError(f"{path} holds bytes that no text has, so it is no table of text; save it as CSV in UTF-8.")
    return mark, encoding, text


def separator_of(text: str) -> str:
    """Return what separates the cells of the first line that holds something, of a CSV file."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    counts = {separator: first.count(separator) for separator in _SEPARATORS}
    return max(_SEPARATORS, key=lambda separator: counts[separator])


def _filled(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    return (row for row in reader if any(cell.strip() for cell in row))


def _refuse_head(path: Path, head: Sequence[str]) -> None:
    named = [name for name in head if name]
    twice = next((name for place, name in enumerate(named) if name in named[:place]), None)
    if twice is not None:
        raise UserError(f"{path} has two columns called {twice!r}; rename or remove one of them.")
    if not named:
        raise UserError(f"{path} is empty; its first line must name the columns, for example path,label.")


def _without_index(columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    kept = {name: values for name, values in columns.items() if name not in _ITS_INDEX}
    return {name: values for name, values in kept.items() if not name.startswith("Unnamed: ")}


def _of_json(path: Path) -> LabelTable:
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    for number, line in enumerate(decoded(path)[2].split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "\\ud" in line.lower():  # half a pair of a character beyond 16 bits is no text
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise UserError(f"Line {number} of {path} is no JSON ({error}); write an object a line.") from error
        if not isinstance(row, dict):
            raise UserError(
                f'Line {number} of {path} is no JSON object; write one like {{"file_name": ..., "label": ...}}.'
            )
        rows.append(row)
        places.append(f"line {number}")
    names = dict.fromkeys(name for row in rows for name in row)
    if rows:
        _refuse_head(path, [name.strip() for name in names])
    columns = {name.strip(): [row.get(name) for row in rows] for name in names}
    return LabelTable(path, _without_index(columns), places, {})


def _of_parquet(path: Path) -> LabelTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _refuse_large(path, file.metadata)
            _refuse_head(path, [field.name for field in file.schema_arrow])
            flat = [field.name for field in file.schema_arrow if is_plain(field.type)]
            table = file.read(columns=flat)
            columns = {name: table.column(name).to_pylist() for name in flat}
            names_of = named_numbers(file.schema_arrow)
    except (pa.ArrowException, OSError, OverflowError, KeyError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is no Parquet file that can be read ({reason}); write it again.") from error
    places = [f"row {number}" for number in range(1, table.num_rows + 1)]
    return LabelTable(path, _without_index(columns), places, names_of)


def _refuse_large(path: Path, metadata: Any) -> None:
    """Refuse what unpacks to more than is fit to be held: a column of one value repeated takes no room in the file."""
    n_bytes = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if metadata.num_rows > MOST_ROWS or n_bytes > _MOST_BYTES:
        raise UserError(
            f"{path} has {metadata.num_rows:,} rows of {n_bytes:,} bytes, and at most {MOST_ROWS:,} rows and "
            f"{_MOST_BYTES:,} bytes are read; keep what is needed of it."
        )


def is_plain(kind: "pa.DataType") -> bool:
    """Say whether values become texts, numbers or lists of them: no bytes, no structures, no types of others.

    Args:
        kind: of a column.
    """
    from pyarrow import types

    if types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind):
        return is_plain(kind.value_type)
    scalar = (types.is_boolean, types.is_integer, types.is_floating, types.is_string, types.is_large_string)
    dated = (types.is_date, types.is_timestamp, types.is_decimal, types.is_null, types.is_string_view)
    return any(is_kind(kind) for is_kind in (*scalar, *dated))


def named(value: Any, names: Sequence[str]) -> Any:
    """Return what a whole number stands for; every other value as it is.

    Args:
        value: a cell.
        names: of the numbers of its column, from 0; may be empty.
    """
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def named_numbers(schema: "pa.Schema") -> dict[str, tuple[str, ...]]:
    """Return what Hugging Face's datasets library writes beside columns of class numbers: the names of the classes.

    Args:
        schema: of a Parquet file, with its metadata.
    """
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        told = {name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"}
        return {name: tuple(map(str, names)) for name, names in told.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
