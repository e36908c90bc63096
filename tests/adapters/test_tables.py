"""What is written into a table is what is read from it, whatever the cells hold."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tables import csv_lines, read_table, write_table

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@pytest.mark.parametrize("cell", ["a\rb", "a\nb", "a\r\nb", 'a,"b"', " a ", "\r"])
def test_a_cell_that_could_be_taken_for_more_comes_back_as_it_was(tmp_path: Path, cell: str) -> None:
    write_table(tmp_path / "table.csv", [("path", "class"), (cell, "x"), ("y", cell)])
    assert read_table(tmp_path / "table.csv") == [{"path": cell, "class": "x"}, {"path": "y", "class": cell}]


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=4))
def test_lines_are_those_that_a_reader_takes_apart_again(rows: list[list[str]]) -> None:
    lines = list(csv_lines(rows))
    assert len(lines) == len(rows)
    assert [next(csv.reader([line])) for line in lines] == rows


def test_lines_end_as_on_unix(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", [("path", "n"), ("a b", 1.5), ("", 2)])
    assert (tmp_path / "table.csv").read_bytes() == b"path,n\na b,1.5\n,2\n"
