"""Tables with changed labels: the cells that are meant change and not a byte or a type beside them."""

import codecs
import csv
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from adapters.json_files import sha256_of
from adapters.label_tables import read_label_table
from adapters.table_edits import write_edited
from adapters.table_text import TableEdit
from transfer.errors import UserError


@dataclass(frozen=True)
class _Asked:
    """What is changed in a table of so many rows."""

    like: dict[int, int]
    texts: dict[int, str]
    removed: frozenset[int]


_PIECES = st.text(st.sampled_from("ab\"',;\t|\r\n é𝄞{}[]:\\"), max_size=5)


@st.composite
def _asked(draw: st.DrawFn, n_rows: int) -> _Asked:
    kinds = draw(st.lists(st.sampled_from(["", "like", "text", "gone"]), min_size=n_rows, max_size=n_rows))
    kinds[draw(st.integers(0, n_rows - 1))] = ""  # a table without rows is none
    like = {row: draw(st.integers(0, n_rows - 1)) for row, kind in enumerate(kinds) if kind == "like"}
    texts = {row: draw(_PIECES) for row, kind in enumerate(kinds) if kind == "text"}
    return _Asked(like, texts, frozenset(row for row, kind in enumerate(kinds) if kind == "gone"))


def _changed(content: bytes, suffix: str, column: str, asked: _Asked) -> tuple[bytes, list[str]]:
    """Return a table's bytes after a change, and its column as it is read then."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, f"a{suffix}"), Path(folder, f"b{suffix}")
        source.write_bytes(content)
        write_edited(
            source,
            target,
            TableEdit(source.name, sha256_of(source), column, asked.like, asked.texts, asked.removed),
        )
        assert source.read_bytes() == content
        return target.read_bytes(), list(read_label_table(target).columns[column])


@st.composite
def _csv(draw: st.DrawFn) -> tuple[str, list[str], list[list[str]], str, str]:
    """Draw a table as it is written: its head line, blank lines before each row, cells, separator and line end."""
    separator, end = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    head = separator.join(draw(st.permutations(["path", ' "label', "note", '"x, y"'])))
    rows = draw(st.lists(st.lists(_PIECES, min_size=4, max_size=4), min_size=1, max_size=5))

    def written(cell: str) -> str:
        must = cell.startswith('"') or any(mark in cell for mark in (separator, "\r", "\n"))
        return '"' + cell.replace('"', '""') + '"' if must or draw(st.booleans()) else cell

    blanks = [draw(st.sampled_from(["", end, end * 2])) for _ in rows]
    return head, blanks, [[written(cell) for cell in row] for row in rows], separator, end


@given(st.data())
def test_a_csv_file_changes_in_the_cells_meant_alone(data: st.DataObject) -> None:
    head, blanks, rows, separator, end = data.draw(_csv())
    asked = data.draw(_asked(len(rows)))
    mark, encoding = data.draw(
        st.sampled_from(
            [
                (b"", "utf-8"),
                (codecs.BOM_UTF8, "utf-8"),
                (codecs.BOM_UTF16_LE, "utf-16-le"),
                (codecs.BOM_UTF16_BE, "utf-16-be"),
            ]
        )
    )
    ends = [end] * (len(rows) - 1) + [data.draw(st.sampled_from([end, ""]))]
    above = data.draw(st.sampled_from(["", end, f" {end}"]))
    place = head.split(separator).index(' "label') if separator != "," else _place(head)

    def table(told: list[list[str]], gone: frozenset[int]) -> bytes:
        lines = [
            blank + (separator.join(cells) + ending if row not in gone else "")
            for row, (blank, cells, ending) in enumerate(zip(blanks, told, ends, strict=True))
        ]
        return mark + (above + head + end + "".join(lines)).encode(encoding)

    content, column = _changed(table(rows, frozenset()), ".csv", '"label', asked)
    new = [list(cells) for cells in rows]
    for row, other in asked.like.items():
        new[row][place] = rows[other][place]
    for row, text in asked.texts.items():
        quoted = (
            rows[row][place].startswith('"') or text.startswith('"') or any(c in text for c in (separator, "\r", "\n"))
        )
        new[row][place] = '"' + text.replace('"', '""') + '"' if quoted else text
    assert content == table(new, asked.removed)
    read = csv.reader(io.StringIO(content.removeprefix(mark).decode(encoding), newline=""), delimiter=separator)
    assert column == [row[place] for row in read if row and row != [" "]][1:]


def _place(head: str) -> int:
    return [name.strip() for name in next(csv.reader([head]))].index('"label')


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, width=16) | _PIECES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["label", "x"]), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def _members(draw: st.DrawFn) -> tuple[list[str], list[str], str, str]:
    """Draw an object as it is written: its names, its values, what follows a comma and a colon."""
    names = draw(st.permutations(["path", "label", "nested", "é"]))
    written = [json.dumps(draw(_JSON), ensure_ascii=draw(st.booleans())) for _ in names]
    comma, colon = draw(st.sampled_from([",", ", ", " ,\t"])), draw(st.sampled_from([":", ": ", " : "]))
    return [json.dumps(name, ensure_ascii=draw(st.booleans())) for name in names], written, comma, colon


@given(st.data())
def test_json_lines_change_in_the_values_meant_alone(data: st.DataObject) -> None:
    rows = data.draw(st.lists(_members(), min_size=1, max_size=4))
    asked = data.draw(_asked(len(rows)))
    end, mark = data.draw(st.sampled_from(["\n", "\r\n", "\n \n"])), data.draw(st.sampled_from([b"", codecs.BOM_UTF8]))
    last = data.draw(st.sampled_from([end, ""]))
    place = [names.index('"label"') for names, *_ in rows]

    def table(values: list[list[str]], gone: frozenset[int]) -> bytes:
        lines = []
        for row, (names, _, comma, colon) in enumerate(rows):
            inside = comma.join(name + colon + value for name, value in zip(names, values[row], strict=True))
            line = f" {{{inside} }}" + (last if row == len(rows) - 1 else end)
            lines.append(line if row not in gone else line.partition("\n")[2])
        return mark + "".join(lines).encode()

    before = [values for _, values, *_ in rows]
    content, column = _changed(table(before, frozenset()), ".jsonl", "label", asked)
    new = [list(values) for values in before]
    for row, other in asked.like.items():
        new[row][place[row]] = before[other][place[other]]
    for row, text in asked.texts.items():
        new[row][place[row]] = json.dumps(text, ensure_ascii=before[row][place[row]].isascii())
    assert content == table(new, asked.removed)
    kept = [
        json.loads(values[at])
        for row, (values, at) in enumerate(zip(new, place, strict=True))
        if row not in asked.removed
    ]
    assert [repr(value) for value in column] == [repr(value) for value in kept]


def test_of_a_member_written_twice_the_last_one_counts() -> None:
    text = '{"label": "ant", "path": "a.png", "label": "ant"}\n{"path": "b.png", "label": "bee"}\n'
    content, column = _changed(text.encode(), ".jsonl", "label", _Asked({0: 1}, {}, frozenset()))
    assert content.decode() == text.replace('"ant"}', '"bee"}')
    assert column == ["bee", "bee"]


@given(st.data())
def test_a_parquet_file_changes_in_the_values_meant_alone(data: st.DataObject) -> None:
    n_rows = data.draw(st.integers(1, 7))
    asked = data.draw(_asked(n_rows))
    values = data.draw(st.lists(st.none() | _PIECES, min_size=n_rows, max_size=n_rows))
    kind = data.draw(st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]))
    table = pa.table({"other": [*range(n_rows)], "label": pa.array(values, pa.string()).cast(kind)})
    stream = io.BytesIO()
    parquet.write_table(table, stream, row_group_size=data.draw(st.integers(1, 3)))
    content, column = _changed(stream.getvalue(), ".parquet", "label", asked)
    after = parquet.read_table(io.BytesIO(content))
    assert after.schema == table.schema
    expected = pd.Series(values, dtype=object)
    for row, other in asked.like.items():
        expected[row] = values[other]
    for row, text in asked.texts.items():
        expected[row] = text
    expected = expected.drop([*asked.removed])
    assert after["other"].to_pylist() == [*expected.index]
    assert after["label"].to_pylist() == column == [*expected]


def test_a_table_that_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\na,x\nb,y\n")
    with pytest.raises(UserError, match=r"a\.csv has changed while it was read; run the same command again"):
        write_edited(tmp_path / "a.csv", tmp_path / "b.csv", TableEdit("a.csv", "0" * 64, "label", {0: 1}))
    assert not (tmp_path / "b.csv").exists()
