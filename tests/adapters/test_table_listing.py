"""Data sets that a table describes: which files, classes, groups, splits and columns are found, and what is refused."""

import json
import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from adapters.class_folders import Listing
from tests.adapters.listed_tables import four_images, listed, touch
from transfer.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return four_images(tmp_path / "photos")


def _by_name(listing: Listing, what: str = "class_name") -> dict[str, str]:
    return {file.path.rpartition("/")[2][0]: getattr(file, what) for file in listing.files}


def test_a_table_says_classes_groups_splits_and_columns(photos: Path) -> None:
    touch(photos, "images/e.png", "notes.txt", ".hidden/f.png")
    found = listed(
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


def test_file_name_is_the_image_beside_other_columns_that_could_be(photos: Path) -> None:
    found = listed(photos, "path,file_name,label\nx,images/a.png,x\ny,images/b.png,y\n")
    assert (found.columns, [file.path for file in found.files]) == (
        {"path": "string"},
        ["images/a.png", "images/b.png"],
    )


def test_files_in_no_row_are_counted(photos: Path) -> None:
    assert listed(photos, "path,label\nimages/a.png,x\nimages/b.png,y\n").ignored == {".png": 2}


def test_named_columns_and_folders_are_used(photos: Path) -> None:
    text = "path,kind,who,when,more\na.png,x,p,train,1\nb.png,x,p,train,2\nc.png,y,q,test,3\nd.png,y,q,test,4\n"
    text = text.replace("d.png,y,q,test", "d.png,x,q,test").replace("b.png,x,p", "b.png,y,p")
    found = listed(photos, text, images="images", image="path", label="kind", group="who", split="when", columns=())
    assert (found.columns, found.given_splits) == ({}, ("train", "test"))
    assert _by_name(found, "group") == {"a": "p", "b": "p", "c": "q", "d": "q"}
    assert listed(photos, text, images="images", label="kind", columns=("more",)).columns == {"more": "float64"}


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
    found = listed(photos, f"file_name,class\n{paths[0]},x\n{paths[1]},y\n")
    assert [file.path for file in found.files] == ["images/a.png", "images/b.png"]


def test_accents_composed_in_another_way_are_the_same_name(photos: Path) -> None:
    touch(photos, unicodedata.normalize("NFD", "gr\u00f6\u00dfe.png"))
    found = listed(
        photos, "path,label\n" + unicodedata.normalize("NFC", "gr\u00f6\u00dfe.png") + ",x\nimages/a.png,y\n"
    )
    assert (photos / found.files[0].path).is_file()


def test_a_backslash_that_is_in_a_name_stays(photos: Path) -> None:
    touch(photos, "q\\r.png")
    assert listed(photos, "path,label\nq\\r.png,x\nimages/a.png,y\n").files[1].path == "q\\r.png"


def test_an_ending_that_may_be_one_of_two_is_not_guessed(photos: Path) -> None:
    touch(photos, "images/a.jpg")
    assert listed(photos, "path,label\nimages/a,x\nimages/b,y\n").files[0].path == "images/a"


def test_numeric_labels_are_in_order_of_value(photos: Path) -> None:
    text = "path,label\nimages/a.png,10\nimages/b.png,9\nimages/c.png,2.0\nimages/d.png,2\n"
    assert listed(photos, text).classes == ("2", "9", "10")


def test_numbers_take_the_names_that_the_file_gives_them(photos: Path) -> None:
    table = pa.table({"file_name": [f"images/{name}.png" for name in "abcd"], "label": [1, 0, 1, 0]})
    features = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), photos / "t.parquet")
    assert _by_name(listed(photos, table="t.parquet")) == {"a": "yes", "b": "no", "c": "yes", "d": "no"}


def test_one_missing_image_is_a_row_and_all_missing_are_refused(photos: Path) -> None:
    assert len(listed(photos, "path,label\nimages/a.png,x\nimages/z.png,y\n").files) == 2
    with pytest.raises(UserError, match=r"None of the 2 images .* first 'y.png' of line 2 .*; put the images there"):
        listed(photos, "path,label\ny.png,x\nz.png,y\n")
    with pytest.raises(UserError, match=r"it is in images/: say so with data.images=images"):
        listed(photos, "path,label\na.png,x\nz.png,y\n")


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
    found = listed(photos, "\n".join(["path,label,split", *rows, ""]))
    assert found.given_splits == given
    assert tuple(_by_name(found, "split").values()) == expected


def test_three_given_splits(photos: Path) -> None:
    touch(photos, "images/e.png", "images/f.png")
    rows = [f"images/{name}.png,{label},{split}" for name, label, split in
            zip("abcdef", "xyxyxy", ("train", "train", "val", "val", "test", "test"), strict=True)]  # fmt: skip
    assert listed(photos, "\n".join(["path,label,split", *rows])).given_splits == ("train", "val", "test")


def test_folders_called_like_splits_are_splits(tmp_path: Path) -> None:
    names = [f"{split}/{name}.png" for split in ("train", "test") for name in "ab"]
    touch(tmp_path, *names)
    rows = "".join(f"{name},{'x' if 'a.' in name else 'y'}\n" for name in names)
    found = listed(tmp_path, f"file_name,label\n{rows}", table="metadata.csv")
    assert Counter(file.split for file in found.files) == {"train": 2, "test": 2}
    assert listed(tmp_path) == found  # a table called metadata needs no naming


def test_a_metadata_file_in_each_split_folder_as_hugging_face_has_them(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        touch(tmp_path, f"{split}/sub/a.png", f"{split}/b.png")
        rows = [{"file_name": "sub/a.png", "label": "x", "site": 1}, {"file_name": "b.png", "label": "y"}]
        (tmp_path / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = listed(tmp_path)
    assert found.given_splits == ("train", "val", "test")
    assert {(file.path, file.class_name, file.split) for file in found.files if file.split == "val"} == {
        ("validation/sub/a.png", "x", "val"), ("validation/b.png", "y", "val"),
    }  # fmt: skip
    assert found.columns == {"site": "float64"}
    assert found.ignored == {}


def test_a_table_without_labels_adds_to_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.png", "x/b.png", "y/c.png")
    (tmp_path / "metadata.csv").write_text("file_name,group,site\nx/a.png,g,1\ny/c.png,g,2\n")
    found = listed(tmp_path)
    assert found.classes == ("x", "y")
    assert [(file.path, file.class_name, file.group, file.columns) for file in found.files] == [
        ("x/a.png", "x", "g", (1.0,)), ("x/b.png", "x", "", (None,)), ("y/c.png", "y", "g", (2.0,)),
    ]  # fmt: skip
    (tmp_path / "metadata.csv").write_text("file_name,site\nx/a.png,1\nz.png,2\n")
    with pytest.raises(UserError, match=r"z.png of line 3 .* is in no class folder"):
        listed(tmp_path)


def test_metadata_of_something_else_beside_class_folders_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.png", "y/b.png")
    (tmp_path / "metadata.csv").write_text("licence,author\nCC0,me\n")
    assert (listed(tmp_path).classes, listed(tmp_path).ignored) == (("x", "y"), {".csv": 1})
    (tmp_path / "y/b.png").unlink()
    with pytest.raises(UserError, match=r"no column of image paths"):
        listed(tmp_path)
