"""Change cells of a table of text, CSV or JSON lines, where they stand; no other character changes."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from adapters.label_tables import separator_of

_QUOTE = '"'
_BLANK = re.compile(r"[ \t\r\n]*")
_Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TableEdit:
    """What changes in a table.

    Args:
        table: its path within the data set's folder.
        sha256: of the table that the numbers of rows are about.
        column: whose cells change.
        like: row -> another row, whose cell it gets, written as it is there. Rows are numbered from 0, as
            `adapters.label_tables.read_label_table` returns them.
        texts: row -> the text it gets.
        removed: rows that go.
    """

    table: str
    sha256: str
    column: str
    like: dict[int, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    removed: frozenset[int] = frozenset()


def changed_csv(text: str, edit: TableEdit) -> str:
    """Return a table of separated cells with its changes.

    Args:
        text: that `read_label_table` can read.
        edit: what changes.
    """
    separator = separator_of(text)
    rows = _rows(text, separator)
    head = next(number for number, row in enumerate(rows) if any(cell.strip() for cell in _cells(text, row, separator)))
    place = [cell.strip() for cell in _cells(text, rows[head], separator)].index(edit.column)
    filled = [row for row in rows[head + 1 :] if text[slice(*row)].strip("\r\n")]

    def cell_of(row: int) -> _Span:
        return _spans(text, filled[row], separator)[place]

    changes = [(cell_of(row), text[slice(*cell_of(other))]) for row, other in edit.like.items()]
    for row, new in edit.texts.items():
        span = cell_of(row)
        changes.append((span, _as_cell(new, separator, quoted=text.startswith(_QUOTE, span[0]))))
    return _with(text, [*changes, *((filled[row], "") for row in edit.removed)])


def changed_json_lines(text: str, edit: TableEdit) -> str:
    """Return a table of JSON objects, one a line, with its changes.

    Args:
        text: that `read_label_table` can read.
        edit: what changes.
    """
    ends = [match.end() for match in re.finditer(r"\n|\Z", text)]
    lines = [(start, end) for start, end in zip([0, *ends], ends, strict=False) if text[start:end].strip()]

    def cell_of(row: int) -> _Span:
        return _member(text, lines[row][0], edit.column)

    changes = [(cell_of(row), text[slice(*cell_of(other))]) for row, other in edit.like.items()]
    for row, new in edit.texts.items():
        start, end = cell_of(row)
        changes.append(((start, end), json.dumps(new, ensure_ascii=text[start:end].isascii())))
    return _with(text, [*changes, *((lines[row], "") for row in edit.removed)])


def _with(text: str, changes: Iterable[tuple[_Span, str]]) -> str:
    pieces, done = [], 0
    for (start, end), new in sorted(changes):
        pieces += [text[done:start], new]
        done = end
    return "".join((*pieces, text[done:]))


@cache
def _patterns(separator: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what a cell is, and a row with the end of its line, as `csv.reader` reads them."""
    mark = re.escape(separator)
    cell = rf'(?:"[^"]*(?:""[^"]*)*"|(?!")[^{mark}\r\n]*)'
    return re.compile(cell), re.compile(rf"{cell}(?:{mark}{cell})*(?:\r\n|\r|\n|\Z)")


def _rows(text: str, separator: str) -> list[_Span]:
    """Return where each row begins, and where its line ends; blank lines are rows without cells."""
    _, row = _patterns(separator)
    found, start = list[_Span](), 0
    while start < len(text) and (match := row.match(text, start)) is not None:
        found.append(match.span())
        start = match.end()
    return found


def _spans(text: str, row: _Span, separator: str) -> list[_Span]:
    """Return where the cells of a row are, quotes included."""
    cell, _ = _patterns(separator)
    found, start = list[_Span](), row[0]
    while (match := cell.match(text, start)) is not None:
        found.append(match.span())
        if not text.startswith(separator, match.end()):
            break
        start = match.end() + 1
    return found


def _cells(text: str, row: _Span, separator: str) -> Sequence[str]:
    written = (text[slice(*span)] for span in _spans(text, row, separator))
    return [cell[1:-1].replace('""', _QUOTE) if cell.startswith(_QUOTE) else cell for cell in written]


def _as_cell(text: str, separator: str, *, quoted: bool) -> str:
    if quoted or text.startswith(_QUOTE) or any(mark in text for mark in (separator, "\r", "\n")):
        return f'"{text.replace(_QUOTE, _QUOTE * 2)}"'
    return text


def _member(text: str, start: int, column: str) -> _Span:
    """Return where the value of a member is, of the last one so called, in the object that begins behind `start`."""
    decoder, found = json.JSONDecoder(), (start, start)
    place = text.index("{", start) + 1
    while (place := _past_blanks(text, place)) < len(text) and text[place] != "}":
        name, place = decoder.raw_decode(text, place)
        value = _past_blanks(text, _past_blanks(text, place) + 1)  # behind the colon
        _, place = decoder.raw_decode(text, value)
        if name.strip() == column:
            found = value, place
        place = _past_blanks(text, place)
        place += text.startswith(",", place)
    return found


def _past_blanks(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    return place if match is None else match.end()
