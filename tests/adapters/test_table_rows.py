"""Which cells and rows of which table decisions change."""

import os
import tempfile
from pathlib import Path

import pytest

from adapters.table_columns import TableChoice
from adapters.table_rows import TableRows, label_edits, path_edits, read_rows, refuse_protected
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


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_begun() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.csv").write_text("path,label\n")
        refuse_protected(Path(folder), ["t.csv"], Path(folder) / "cache")
        Path(folder).chmod(0o555)
        if user == 0:
            os.seteuid(65_534)  # root may write everywhere
        try:
            with pytest.raises(
                UserError, match=r"cannot be written to, so t\.csv cannot change; make the folder writable"
            ):
                refuse_protected(Path(folder), ["t.csv"], Path(folder) / "cache")
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)


def test_a_table_behind_a_link_to_a_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/t.csv").write_text("path,label\n")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/tables").symlink_to(tmp_path / "shared")
    with pytest.raises(UserError, match=r"photos/tables/t\.csv is a link to .*/shared/t\.csv, or behind one"):
        refuse_protected(tmp_path / "photos", ["tables/t.csv"], tmp_path / "cache")
    (tmp_path / "link").symlink_to(tmp_path / "photos")  # the folder itself may be one
    (tmp_path / "photos/t.csv").write_text("path,label\n")
    refuse_protected(tmp_path / "link", ["t.csv"], tmp_path / "cache")
