"""Data sets that a table describes: which files, classes, groups, splits and columns are found, and what is refused."""

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from adapters.class_folders import Listing
from adapters.table_columns import TableChoice
from adapters.table_listing import list_data_set
from transfer.errors import UserError

ENDINGS = {".png", ".jpg"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder with four images below images/."""
    folder = tmp_path / "photos"
    for name in "abcd":
        _touch(folder, f"images/{name}.png")
    return folder


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def _list(folder: Path, text: str | None = None, **choice: Any) -> Listing:
    if text is not None:
        choice["table"] = choice.get("table", "labels.csv")
        (folder / choice["table"]).parent.mkdir(parents=True, exist_ok=True)
        (folder / choice["table"]).write_text(text, encoding="utf-8")
    return list_data_set(folder, ENDINGS, TableChoice(**choice))


def _by_name(listing: Listing, what: str = "class_name") -> dict[str, str]:
    return {file.path.rpartition("/")[2][0]: getattr(file, what) for file in listing.files}


FOUR = "images/a.png,x\nimages/b.png,x\nimages/c.png,y\nimages/d.png,y\n"


def test_a_table_says_classes_groups_splits_and_columns(photos: Path) -> None:
    _touch(photos, "images/e.png", "notes.txt", ".hidden/f.png")
    found = _list(
        photos,
        "path,label,patient,split,camera,lux,empty,mode\n"
        "images/a.png,x,p1,train,old,1.5,,1\nimages/b.png,x,p1,train,,2,,007\n"
        "images/c.png,y,p2,train,new,,,1\nimages/d.png,y,p3,test,new,1e3,,1\n"
        "images/e.png,x,,test,=1+1,0,,1\n",
    )
    assert found.classes == ("x", "y")
    assert found.given_splits == ("train", "test")
    assert _by_name(found, "split") == {"a": "train", "b": "train", "c": "train", "d": "test", "e": "test"}
    assert _by_name(found, "group") == {"a": "p1", "b": "p1", "c": "p2", "d": "p3", "e": ""}
    assert found.columns == {"camera": "string", "lux": "float64", "mode": "string"}
    assert [file.columns for file in found.files] == [
        ("old", 1.5, "1"), (None, 2.0, "007"), ("new", None, "1"), ("new", 1000.0, "1"), ("=1+1", 0.0, "1"),
    ]  # fmt: skip
    assert found.ignored == {".txt": 1}


def test_files_in_no_row_are_counted(photos: Path) -> None:
    assert _list(photos, "path,label\nimages/a.png,x\nimages/b.png,y\n").ignored == {".png": 2}


def test_named_columns_and_folders_are_used(photos: Path) -> None:
    text = "path,kind,who,when,more\na.png,x,p,train,1\nb.png,x,p,train,2\nc.png,y,q,test,3\nd.png,y,q,test,4\n"
    text = text.replace("d.png,y,q,test", "d.png,x,q,test").replace("b.png,x,p", "b.png,y,p")
    found = _list(photos, text, images="images", image="path", label="kind", group="who", split="when", columns=())
    assert (found.columns, found.given_splits) == ({}, ("train", "test"))
    assert _by_name(found, "group") == {"a": "p", "b": "p", "c": "q", "d": "q"}
    assert _list(photos, text, images="images", label="kind", columns=("more",)).columns == {"more": "float64"}


@pytest.mark.parametrize(
    "paths",
    [
        ("images\\a.png", "images\\b.png"),
        ("./images/a.png", "images//b.png"),
        ("images/a", "images/b"),
        ("Images/A.PNG", "images/b.Png"),
    ],
)
def test_paths_of_other_systems_and_habits_are_understood(photos: Path, paths: tuple[str, str]) -> None:
    found = _list(photos, f"file_name,class\n{paths[0]},x\n{paths[1]},y\n")
    assert [file.path for file in found.files] == ["images/a.png", "images/b.png"]


def test_accents_composed_in_another_way_are_the_same_name(photos: Path) -> None:
    _touch(photos, unicodedata.normalize("NFD", "gr\u00f6\u00dfe.png"))
    found = _list(photos, "path,label\n" + unicodedata.normalize("NFC", "gr\u00f6\u00dfe.png") + ",x\nimages/a.png,y\n")
    assert (photos / found.files[0].path).is_file()


def test_a_backslash_that_is_in_a_name_stays(photos: Path) -> None:
    _touch(photos, "q\\r.png")
    assert _list(photos, "path,label\nq\\r.png,x\nimages/a.png,y\n").files[1].path == "q\\r.png"


def test_an_ending_that_may_be_one_of_two_is_not_guessed(photos: Path) -> None:
    _touch(photos, "images/a.jpg")
    assert _list(photos, "path,label\nimages/a,x\nimages/b,y\n").files[0].path == "images/a"


def test_numeric_labels_are_in_order_of_value(photos: Path) -> None:
    text = "path,label\nimages/a.png,10\nimages/b.png,9\nimages/c.png,2.0\nimages/d.png,2\n"
    assert _list(photos, text).classes == ("2", "9", "10")


def test_numbers_take_the_names_that_the_file_gives_them(photos: Path) -> None:
    table = pa.table({"file_name": [f"images/{name}.png" for name in "abcd"], "label": [1, 0, 1, 0]})
    features = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), photos / "t.parquet")
    assert _by_name(_list(photos, table="t.parquet")) == {"a": "yes", "b": "no", "c": "yes", "d": "no"}


def test_one_missing_image_is_a_row_and_all_missing_are_refused(photos: Path) -> None:
    assert len(_list(photos, "path,label\nimages/a.png,x\nimages/z.png,y\n").files) == 2
    with pytest.raises(UserError, match=r"None of the 2 images .* first 'y.png' of line 2 .*; put the images there"):
        _list(photos, "path,label\ny.png,x\nz.png,y\n")
    with pytest.raises(UserError, match=r"it is in images/: say so with data.images=images"):
        _list(photos, "path,label\na.png,x\nz.png,y\n")


@pytest.mark.parametrize(
    ("splits", "given", "expected"),
    [
        (("train", "train", "train", "train"), (), ("", "", "", "")),
        (("", "", "test", "test"), ("test",), ("", "", "test", "test")),
        (("train", "", "test", "test"), ("train", "test"), ("train", "train", "test", "test")),
        (("Training", "train", "dev", "val"), ("train", "test"), ("train", "train", "test", "test")),
        (("", "", "", ""), (), ("", "", "", "")),
    ],
)
def test_splits_that_the_table_gives(
    photos: Path, splits: tuple[str, ...], given: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    names = dict(zip("abcd", "xyxy", strict=True))
    rows = [f"images/{name},{names[name]},{split}" for name, split in zip("abcd", splits, strict=True)]
    found = _list(photos, "\n".join(["path,label,split", *rows, ""]))
    assert found.given_splits == given
    assert tuple(_by_name(found, "split").values()) == expected


def test_three_given_splits(photos: Path) -> None:
    _touch(photos, "images/e.png", "images/f.png")
    rows = [f"images/{name}.png,{label},{split}" for name, label, split in
            zip("abcdef", "xyxyxy", ("train", "train", "val", "val", "test", "test"), strict=True)]  # fmt: skip
    assert _list(photos, "\n".join(["path,label,split", *rows])).given_splits == ("train", "val", "test")


def test_folders_called_like_splits_are_splits(tmp_path: Path) -> None:
    names = [f"{split}/{name}.png" for split in ("train", "test") for name in "ab"]
    _touch(tmp_path, *names)
    rows = "".join(f"{name},{'x' if 'a.' in name else 'y'}\n" for name in names)
    found = _list(tmp_path, f"file_name,label\n{rows}", table="metadata.csv")
    assert Counter(file.split for file in found.files) == {"train": 2, "test": 2}
    assert _list(tmp_path) == found  # a table called metadata needs no naming


def test_a_metadata_file_in_each_split_folder_as_hugging_face_has_them(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        _touch(tmp_path, f"{split}/sub/a.png", f"{split}/b.png")
        rows = [{"file_name": "sub/a.png", "label": "x", "site": 1}, {"file_name": "b.png", "label": "y"}]
        (tmp_path / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = _list(tmp_path)
    assert found.given_splits == ("train", "val", "test")
    assert {(file.path, file.class_name, file.split) for file in found.files if file.split == "val"} == {
        ("validation/sub/a.png", "x", "val"), ("validation/b.png", "y", "val"),
    }  # fmt: skip
    assert found.columns == {"site": "float64"}
    assert found.ignored == {}


def test_a_table_without_labels_adds_to_class_folders(tmp_path: Path) -> None:
    _touch(tmp_path, "x/a.png", "x/b.png", "y/c.png")
    (tmp_path / "metadata.csv").write_text("file_name,group,site\nx/a.png,g,1\ny/c.png,g,2\n")
    found = _list(tmp_path)
    assert found.classes == ("x", "y")
    assert [(file.path, file.class_name, file.group, file.columns) for file in found.files] == [
        ("x/a.png", "x", "g", (1.0,)), ("x/b.png", "x", "", (None,)), ("y/c.png", "y", "g", (2.0,)),
    ]  # fmt: skip
    (tmp_path / "metadata.csv").write_text("file_name,site\nx/a.png,1\nz.png,2\n")
    with pytest.raises(UserError, match=r"z.png of line 3 .* is in no class folder"):
        _list(tmp_path)


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
        _list(photos, f"{head}\n{rows}{first}")


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
        _list(photos, text)


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
        _list(photos, f"path,label\n{FOUR}")


def test_too_many_columns_have_to_be_named(photos: Path) -> None:
    extra = [f"c{number}" for number in range(60)]
    rows = "".join(f"images/{name}.png,{label}{',1' * 60}\n" for name, label in zip("abcd", "xxyy", strict=True))
    text = f"path,label,{','.join(extra)}\n{rows}"
    with pytest.raises(UserError, match=r"60 columns .* at most 50 are kept; say which with data.columns=\[c0,"):
        _list(photos, text)
    assert [*_list(photos, text, columns=("c7",)).columns] == ["c7"]


def test_two_metadata_files_are_refused(photos: Path) -> None:
    for name in ("metadata.csv", "metadata.jsonl"):
        (photos / name).write_text("{}")
    with pytest.raises(UserError, match=r"holds metadata.csv and metadata.jsonl; keep one"):
        _list(photos)


def test_a_split_column_that_contradicts_its_folder_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        _touch(tmp_path, f"{split}/a.png", f"{split}/b.png")
        (tmp_path / split / "metadata.csv").write_text("file_name,label,split\na.png,x,train\nb.png,y,train\n")
    with pytest.raises(UserError, match=r"line 2 of .*test/metadata.csv says train, but .* in a folder of test"):
        _list(tmp_path)


def test_a_folder_with_a_table_that_was_not_named_says_how(photos: Path) -> None:
    (photos / "labels.csv").write_text(f"path,label\n{FOUR}")
    with pytest.raises(
        UserError, match=r"holds a single class, 'images'; .*; or name its table .* data.path=.*labels.csv`"
    ):
        _list(photos)
