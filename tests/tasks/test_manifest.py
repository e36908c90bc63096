"""The manifest of a folder: its rows, its splits, what it refuses, and that growing moves nothing."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from adapters import described_files
from adapters.manifest_file import MANIFEST, read_columns, read_header
from adapters.split_ledger import LEDGER
from tasks import manifest as steps
from transfer.errors import UserError
from transfer.records import Row


def _paint(folder: Path, n_images: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + n_images):
        seed = [index, *hashlib.sha256(str(folder).encode()).digest()]
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")


@pytest.fixture
def photos(unmade_photos: Path) -> Path:
    return unmade_photos


def _made() -> pd.DataFrame:
    steps.describe()
    return pd.read_parquet(MANIFEST)


def test_a_row_a_file_with_label_digest_and_facts(photos: Path) -> None:
    for name in ("zebra", "ant", "cow"):
        _paint(photos / name, 10)
    frame = _made()
    assert frame["path"].tolist() == sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    assert read_header().classes == ("ant", "cow", "zebra")
    assert dict(zip(frame["class_name"], frame["label"], strict=True)) == {"ant": 0, "cow": 1, "zebra": 2}
    assert frame["readable"].all()
    assert set(frame["split"]) == {"train", "val", "test"}
    for row in frame.itertuples():
        assert row.sha256 == row.group == hashlib.sha256((photos / row.path).read_bytes()).hexdigest()
        assert (row.width_px, row.height_px, row.mode, row.format, row.exif_orientation) == (9, 9, "RGB", "PNG", 1)


def test_the_same_folder_gives_the_same_bytes(photos: Path) -> None:
    for name in ("a", "b"):
        _paint(photos / name, 5)
    steps.describe()
    first = MANIFEST.read_bytes()
    steps.describe()
    assert MANIFEST.read_bytes() == first


def test_a_growing_data_set_moves_no_image(photos: Path) -> None:
    for name in ("a", "b"):
        _paint(photos / name, 40)
    before = _made().set_index("path")["split"]
    for name in ("a", "b"):
        _paint(photos / name, 40, first=40)
    after = _made().set_index("path")["split"]
    assert after[before.index].equals(before)
    assert len(after) == 160


def test_a_held_out_folder_is_the_test_set_and_validation_comes_from_train(photos: Path) -> None:
    for name in ("a", "b"):
        _paint(photos / "train" / name, 30)
        _paint(photos / "val" / name, 4)
    frame = _made()
    by_folder = frame.groupby(frame["path"].str.split("/").str[0])["split"].agg(set).to_dict()
    assert by_folder == {"train": {"train", "val"}, "val": {"test"}}
    assert read_header().given_splits == ("train", "test")


def test_three_split_folders_are_taken_as_they_are(photos: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            _paint(photos / split / name, 1)
    frame = _made()
    assert (frame["path"].str.split("/").str[0] == frame["split"]).all()


def test_copies_in_the_users_train_and_test_folders_are_kept(photos: Path) -> None:
    for name in ("a", "b"):
        _paint(photos / "train" / name, 10)
        _paint(photos / "test" / name, 2)
    (photos / "test" / "a" / "copy.png").write_bytes((photos / "train" / "a" / "000.png").read_bytes())
    frame = _made().set_index("path")
    assert frame.loc["test/a/copy.png", "split"] == "test"
    assert frame.loc["train/a/000.png", "split"] in ("train", "val")


def test_an_unreadable_file_is_a_row_with_a_problem(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        _paint(photos / name, 6)
    (photos / "a" / "broken.jpg").write_text("no image")
    (photos / "a" / "notes.txt").write_text("no image")
    frame = _made().set_index("path")
    row = frame.loc["a/broken.jpg"]
    assert (row["readable"], row["split"], row["label"]) == (False, "", 0)
    assert ("not a JPEG" in row["problem"], row["problem_kind"], row["remarks"]) == (True, "not_an_image", "")
    assert Counter(frame["readable"]) == {True: 12, False: 1}
    assert read_header().ignored == {".txt": 1}
    printed = capsys.readouterr().out
    assert "1 of 13 files cannot be read (1 not_an_image), first a/broken.jpg" in printed
    assert "1 .txt" in printed


def test_what_is_told_of_files_is_in_a_column_and_a_name_commands_no_terminal(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        _paint(photos / name, 6)
    (photos / "a" / "\x1b[2Jgone.jpg").write_text("no image")
    (photos / "b" / "000.png").rename(photos / "b" / "000.jpg")
    frame = _made().set_index("path")
    assert frame.loc["b/000.jpg", "remarks"] == "wrong_extension"
    assert frame.loc["a/\x1b[2Jgone.jpg", "remarks"] == "odd_name"
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "first a/\\x1b[2Jgone.jpg: " in printed
    assert "Worth knowing of files: 1 odd_name, 1 wrong_extension." in printed


def test_a_second_scan_gives_the_same_bytes_as_one_that_keeps_nothing(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        _paint(photos / name, 6)
    (photos / "a" / "broken.jpg").write_text("no image")
    monkeypatch.setattr(described_files, "_SETTLED_NS", -1)
    written = set()
    for cache_gb in ("10", "10", "0"):
        monkeypatch.setenv("ROOTSTOCK_CACHE_GB", cache_gb)
        steps.describe()
        written.add(MANIFEST.read_bytes())
    assert len(written) == 1
    assert len(list(Path(".rootstock/scans").glob("*/*.scan"))) == 1


def _two_columns_of_one_name(photos: Path) -> None:
    _paint(photos, 12)
    lines = [f"{index:03d}.png,{'ab'[index % 2]},1,2" for index in range(12)]
    (photos / "metadata.csv").write_text("\n".join(["file_name,label,brightness,given_brightness", *lines]))


def _nothing(photos: Path) -> None:
    """Make no folder at all."""


def _small_class(photos: Path) -> None:
    _paint(photos / "a", 9)
    _paint(photos / "b", 1)


def _small_training_class(photos: Path) -> None:
    for name, n_images in (("a", 9), ("b", 1)):
        _paint(photos / "train" / name, n_images)
        _paint(photos / "test" / name, 2)


def _only_text(photos: Path) -> None:
    for name in ("a", "b"):
        (photos / name).mkdir(parents=True)
        (photos / name / "x.jpg").write_text("hello")


def _one_class_broken(photos: Path) -> None:
    _paint(photos / "a", 9)
    (photos / "b").mkdir()
    (photos / "b" / "x.jpg").write_text("hello")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_nothing, r"data.path photos does not exist"),
        (_small_class, r"Class 'b' has 1 usable file, but needs at least 3, one for each of 3 splits"),
        (_small_training_class, r"Class 'b' has 1 usable file, but needs at least 2"),
        (_only_text, r"None of the 2 files in data.path photos can be decoded; a/x.jpg: The file is not a JPEG"),
        (_one_class_broken, r"Class 'b' has no file that can be decoded; b/x.jpg: The file is not"),
        (_two_columns_of_one_name, r"columns brightness and given_brightness have one name in the manifest"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_and_nothing_is_written(photos: Path, make: Any, sentence: str) -> None:
    make(photos)
    with pytest.raises(UserError, match=sentence):
        steps.describe()
    assert not MANIFEST.exists()
    assert not LEDGER.exists()


def test_a_table_becomes_rows_with_groups_splits_and_columns(photos: Path) -> None:
    _paint(photos / "images", 40)
    rows = [
        f"{n:03d},{'xy'[n % 2]},p{n // 4},{'test' if n > 29 else ''},{n % 3},{'old' if n % 5 else ''}"
        for n in range(40)
    ]
    (photos / "labels.csv").write_text("\n".join(["image,label,patient,split,brightness,camera", *rows]))
    params = Path("params.yaml")
    named = params.read_text().replace("table: null", "table: labels.csv").replace("images: null", "images: images")
    params.write_text(named)
    frame = _made().set_index("path")
    assert frame["user_group"].tolist() == [f"p{n // 4}" for n in range(40)]
    assert frame.groupby("user_group")["group"].nunique().max() == 1
    assert (frame["split"][30:] == "test").all()
    assert set(frame["split"][:30]) == {"train", "val"}
    assert frame.groupby("user_group")["split"].nunique()[:7].max() == 1
    assert frame["given_brightness"].tolist() == [n % 3 for n in range(40)]
    assert frame["brightness"].between(0, 1).all()
    assert frame["camera"].isna().sum() == 8
    assert read_header().ignored == {}
    told = read_columns([Row(str(path), 0, "test", "") for path in frame.index])
    assert set(told) >= {"group", "user_group", "given_brightness", "camera"}


def test_a_table_without_some_of_its_images_quarantines_them(photos: Path) -> None:
    for name in ("a", "b"):
        _paint(photos / name, 6)
    rows = [f"{name}/{n:03d}.png,{name}" for name in ("a", "b") for n in range(6)]
    (photos / "metadata.csv").write_text("\n".join(["file_name,label", *rows, "a/gone.png,a", "b/notes.txt,b"]))
    (photos / "b/notes.txt").write_text("no image")
    frame = _made().set_index("path")
    assert (frame.loc["a/gone.png", "readable"], frame.loc["b/notes.txt", "readable"]) == (False, False)
    assert frame["readable"].sum() == 12
