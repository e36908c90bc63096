"""Tables that cannot be used: each is refused with its place and what to do."""

from pathlib import Path
from typing import Any

import pytest

from adapters.table_columns import TableChoice
from adapters.table_listing import list_data_set
from tests.adapters.listed_tables import ENDINGS, FOUR, four_images, listed, touch
from transfer.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return four_images(tmp_path / "photos")


@pytest.mark.parametrize(
    ("head", "rows", "sentence"),
    [
        ("path,label", "http://x.org/a.png,x\n", r"'http://x.org/a.png' of line 2 .* is an address"),
        ("path,label", "s3://bucket/a.png,x\n", r"is an address"),
        ("path,label", "/etc/passwd,x\n", r"is an absolute path"),
        ("path,label", "C:\\photos\\a.png,x\n", r"is an absolute path"),
        ("path,label", "../a.png,x\n", r"outside the data set's folder, where DVC would notice no change"),
        ("path,label", "images/../../a.png,x\n", r"outside the data set's folder"),
        ("path,label", "..\\..\\a.png,x\n", r"outside the data set's folder"),
        ("path,label", ",x\n", r"no image path in line 2"),
        ("path,label", f"{'n' * 300}.png,x\n", r"longer than a file's name can be"),
        ("path,label", f"{'n/' * 4000}a.png,x\n", r"longer than a file's name can be"),
        ("path,label", "images,x\n", r"images of line 2 .* is a folder"),
        ("path,label", "images/a.png,y\n", r"images/a.png is in line 2 of .* and in line 3 of .*; an image has one"),
        ("path,label", "images/./a.png,x\n", r"images/a.png is in line 2 .* and in line 3"),
        ("path,label", "images\\a.png,x\n", r"images/a.png is in line 2 .* and in line 3"),
        (
            "path,label,class",
            "images/b.png,x,y\n",
            r"columns label and class, which may both hold the label; say which",
        ),
        ("path,image,label", "images/b.png,x,y\n", r"columns path and image, which may both hold the image"),
        ("name,label", "x,y\n", r"no column of image paths called file_name or path or image, only name, label"),
        ("path,kind", "images/b.png,x\n", r"no column of labels called label or class or target, only path, kind"),
        (
            "path,label,split",
            "images/b.png,y,holdout\n",
            r"The split in line 2 .* is 'holdout'; write train, val or test",
        ),
        ("path,label", "images/b.png,x\n", r"knows a single class, 'x'"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(photos: Path, head: str, rows: str, sentence: str) -> None:
    cells = {"path": "images/a.png", "label": "x", "class": "x", "image": "images/a.png", "name": "n", "kind": "k"}
    first = ",".join(cells.get(name, "") for name in head.split(",")) + "\n"
    with pytest.raises(UserError, match=sentence):
        listed(photos, f"{head}\n{rows}{first}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,cat,dog\nimages/a.png,1,0\nimages/b.png,0,1\n", r"columns of 0 and 1 \(cat, dog\), one for each class;"),
        ("path,cat,dog\nimages/a.png,1,1\nimages/b.png,0,1\nimages/c.png,0,0\n", r"several classes \(multi-label\)"),
        ("path,label\nimages/a.png,cat\nimages/b.png,dog\nimages/c.png,cat|dog\n", r"multi-label"),
        (
            "path,label,split\nimages/a.png,x,train\nimages/b.png,y,train\nimages/c.png,x,test\n",
            r"no image of class 'y' in",
        ),
        (
            "path,label,split\nimages/a.png,x,train\nimages/b.png,y,val\nimages/c.png,x,test\nimages/d.png,y,\n",
            r"no split in line 5 ",
        ),
    ],
)
def test_tables_that_say_no_single_class_are_refused(photos: Path, text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        listed(photos, text)


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"table": "no.csv"}, r"data.table is 'no.csv', but .* holds no such file"),
        ({"table": "../t.csv"}, r"data.table is '../t.csv', which is outside data.path"),
        ({"table": "/t.csv"}, r"outside data.path"),
        ({"table": "t.xlsx"}, r"must end in .csv, .tsv, .jsonl, .parquet"),
        ({"table": "labels.csv", "label": "no"}, r"data.label is 'no', but .* has only path, label; name one of them"),
        ({"table": "labels.csv", "columns": ("no",)}, r"data.columns names 'no', but"),
        ({"label": "x"}, r"data.label is 'x', but data.path .* has no table that it could be about"),
        ({"columns": ("x",)}, r"data.columns is 'x', but data.path .* has no table"),
        ({"images": "x"}, r"data.images is 'x', but data.path .* has no table"),
    ],
)
def test_choices_that_fit_nothing_are_refused(photos: Path, choice: dict[str, Any], sentence: str) -> None:
    (photos / "labels.csv").write_text(f"path,label\n{FOUR}")
    with pytest.raises(UserError, match=sentence):
        list_data_set(photos, ENDINGS, TableChoice(**choice))


def test_images_behind_a_link_to_a_folder_are_refused(photos: Path) -> None:
    (photos / "images").rename(photos.parent / "images")
    (photos / "images").symlink_to(photos.parent / "images")
    with pytest.raises(UserError, match=r"images/a.png of line 2 .* is behind a link to a folder"):
        listed(photos, f"path,label\n{FOUR}")


def test_too_many_columns_have_to_be_named(photos: Path) -> None:
    extra = [f"c{number}" for number in range(60)]
    rows = "".join(f"images/{name}.png,{label}{',1' * 60}\n" for name, label in zip("abcd", "xxyy", strict=True))
    text = f"path,label,{','.join(extra)}\n{rows}"
    with pytest.raises(UserError, match=r"60 columns .* at most 50 are kept; say which with data.columns=\[c0,"):
        listed(photos, text)
    assert [*listed(photos, text, columns=("c7",)).columns] == ["c7"]


def test_two_metadata_files_are_refused(photos: Path) -> None:
    for name in ("metadata.csv", "metadata.jsonl"):
        (photos / name).write_text("{}")
    with pytest.raises(UserError, match=r"holds metadata.csv and metadata.jsonl; keep one"):
        listed(photos)


def test_a_split_column_that_contradicts_its_folder_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        touch(tmp_path, f"{split}/a.png", f"{split}/b.png")
        (tmp_path / split / "metadata.csv").write_text("file_name,label,split\na.png,x,train\nb.png,y,train\n")
    with pytest.raises(UserError, match=r"line 2 of .*test/metadata.csv says train, but .* in a folder of test"):
        listed(tmp_path)


def test_a_folder_with_a_table_that_was_not_named_says_how(photos: Path) -> None:
    (photos / "labels.csv").write_text(f"path,label\n{FOUR}")
    with pytest.raises(
        UserError, match=r"holds a single class, 'images'; .*; or name its table .* data.path=.*labels.csv`"
    ):
        listed(photos)
