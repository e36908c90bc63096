"""Which cells and rows of which table decisions change."""

from pathlib import Path

import pytest

from adapters.table_columns import TableChoice
from adapters.table_rows import TableRows, label_edits, path_edits, read_rows
from transfer.errors import UserError

ENDINGS = {".png"}


def _rows(folder: Path, **tables: str) -> TableRows:
    for name in ("train/a.png", "train/b.png", "test/c.png", "test/d.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    for split, text in tables.items():
        (folder / split / "metadata.csv").write_text(text)
    return read_rows(folder, ENDINGS, TableChoice())


def test_rows_are_counted_in_their_own_table(tmp_path: Path) -> None:
    rows = _rows(tmp_path, train="file_name,label\na,x\n\nb.png,y\n", test="file_name,label\nc,x\nd,y\n")
    classes = {"train/a.png": "x", "train/b.png": "y", "test/c.png": "x", "test/d.png": "y"}
    edits = label_edits(rows, classes, {"train/b.png": "x", "test/d.png": "x", "test/c.png": ""})
    assert [(one.table, one.column, one.like, one.removed) for one in edits] == [
        ("train/metadata.csv", "label", {1: 0}, frozenset()),
        ("test/metadata.csv", "label", {1: 0}, frozenset((0,))),
    ]


def test_a_class_that_a_table_never_writes_is_refused(tmp_path: Path) -> None:
    rows = _rows(tmp_path, train="file_name,label\na,x\nb,y\n", test="file_name,label\nc,x\nd,x\n")
    classes = {"train/a.png": "x", "train/b.png": "y", "test/c.png": "x", "test/d.png": "x"}
    with pytest.raises(
        UserError, match=r"test/metadata\.csv has no row of class 'y' whose label could be written again"
    ):
        label_edits(rows, classes, {"train/a.png": "y", "test/c.png": "y"})


@pytest.mark.parametrize(("written", "moved"), [("a.png", "z/a.png"), ("./a.png", "z/a.png"), (".\\a.png", "z\\a.png")])
def test_a_path_is_written_from_where_the_table_starts(tmp_path: Path, written: str, moved: str) -> None:
    rows = _rows(tmp_path, train=f"file_name,who\n{written},p\nb.png,q\n", test="file_name,who\nc.png,p\n")
    (edit,) = path_edits(rows, {"train/a.png": "train/z/a.png", "test/d.png": ""})  # d has no row
    assert (edit.table, edit.texts, edit.removed) == ("train/metadata.csv", {0: moved}, frozenset())
