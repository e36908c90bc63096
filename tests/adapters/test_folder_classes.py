"""Classes and splits of paths alone: as the listing of the same folders has them."""

from pathlib import Path

import pytest

from adapters.folder_classes import classes_of, is_image
from adapters.image_files import list_images

LAYOUTS = {
    "classes": ["a/1.png", "a/deep/2.JPG", "b/1.tiff", "b/c.d/3.webp"],
    "classes that are called like splits": ["train/1.png", "test/1.png", "other/1.png", "a/1.png"],
    "splits": [f"{split}/{name}/1.png" for split in ("train", "val", "test") for name in "ab"],
    "one held-out folder": [f"{split}/{name}/1.png" for split in ("Train", "validation") for name in "ab"],
    "train alone": ["train/a/1.png", "train/b/deep/1.png"],
}


@pytest.mark.parametrize("layout", ["classes", "splits", "one held-out folder", "train alone"])
def test_they_are_those_of_the_listing(tmp_path: Path, layout: str) -> None:
    beside = ("notes.txt", ".hidden.png", f"{LAYOUTS[layout][0]}.csv", "__MACOSX/a/1.png", "Thumbs.db")
    for name in (*LAYOUTS[layout], *beside):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = list_images(tmp_path)
    paths = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    images = [path for path in paths if is_image(path)]
    assert sorted(images) == [file.path for file in listed.files]
    assert classes_of(images) == {file.path: (file.class_name, file.split) for file in listed.files}


def test_folders_beside_splits_are_classes_all_of_them() -> None:
    found = classes_of(LAYOUTS["classes that are called like splits"])
    assert found["train/1.png"] == ("train", "")
    assert found["a/1.png"] == ("a", "")


def test_loose_files_are_of_no_class() -> None:
    assert classes_of(["1.png", "train/a/1.png", "test/a/1.png"]) == {
        "1.png": ("", ""),
        "train/a/1.png": ("a", "train"),
        "test/a/1.png": ("a", "test"),
    }


@pytest.mark.parametrize("path", ["a/1", "png", "a.png/notes", "a/1.txt", ".a.png", "a/.b/1.png", "a/.1.png", ""])
def test_other_files_are_no_images(path: str) -> None:
    assert not is_image(path)
