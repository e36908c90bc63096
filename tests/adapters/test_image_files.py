"""Which files of a folder are images of which class, and what reading them tells."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapters.image_files import describe, list_images, load_examples
from transfer.errors import UserError
from transfer.records import Preprocess, Row

PREPROCESS = Preprocess(resize_px=12, crop_px=10, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def _image(path: Path, seed: int = 0, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (14, 18, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for index, name in enumerate(("a/1.jpg", "a/2.PNG", "b/deep/er/3.jpeg", "b/4.webp")):
        _image(folder / name, index)
    return folder


def test_classes_are_folders_and_files_may_lie_deeper(photos: Path) -> None:
    listing = list_images(photos)
    assert listing.classes == ("a", "b")
    assert [(file.path, file.class_name, file.split) for file in listing.files] == [
        ("a/1.jpg", "a", ""),
        ("a/2.PNG", "a", ""),
        ("b/4.webp", "b", ""),
        ("b/deep/er/3.jpeg", "b", ""),
    ]
    assert (listing.ignored, listing.given_splits) == ({}, ())


def test_clutter_is_passed_over_and_other_files_are_counted(photos: Path) -> None:
    for name in (".DS_Store", "a/._1.jpg", "a/Thumbs.db", ".hidden/x.jpg", "__MACOSX/a/1.jpg"):
        (photos / name).parent.mkdir(exist_ok=True, parents=True)
        (photos / name).write_bytes(b"x")
    for name in ("notes.txt", "a/labels.csv", "a/more.csv", "b/README"):
        (photos / name).write_bytes(b"x")
    listing = list_images(photos)
    assert len(listing.files) == 4
    assert listing.classes == ("a", "b")
    assert listing.ignored == {"": 1, ".csv": 2, ".txt": 1}


@pytest.mark.parametrize(
    ("folders", "given", "splits"),
    [
        (("train", "val", "test"), ("train", "val", "test"), ("train", "val", "test")),
        (("Train", "validation", "TEST"), ("train", "val", "test"), ("train", "val", "test")),
        (("train", "val"), ("train", "test"), ("train", "test")),
        (("train", "valid"), ("train", "test"), ("train", "test")),
        (("train", "test"), ("train", "test"), ("train", "test")),
        (("train",), (), ("",)),
    ],
)
def test_split_folders_are_honoured(
    tmp_path: Path, folders: tuple[str, ...], given: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    for folder in folders:
        for name in ("a", "b"):
            _image(tmp_path / folder / name / "1.png")
    listing = list_images(tmp_path)
    assert (listing.given_splits, listing.classes) == (given, ("a", "b"))
    by_folder = {file.path.split("/")[0]: file.split for file in listing.files}
    assert by_folder == dict(zip(folders, splits, strict=True))


@pytest.mark.parametrize("names", [("control", "test"), ("car", "train"), ("test", "thing", "val")])
def test_a_class_may_be_called_like_a_split(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        _image(tmp_path / name / "1.png")
    assert list_images(tmp_path).classes == names


def _nothing(folder: Path) -> None:
    """Leave the folder empty."""


def _loose(folder: Path) -> None:
    _image(folder / "1.jpg")


def _single(folder: Path) -> None:
    _image(folder / "only" / "1.jpg")


def _without_images(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()


def _one_empty(folder: Path) -> None:
    _image(folder / "a" / "1.jpg")
    (folder / "b").mkdir()


def _no_train(folder: Path) -> None:
    for name in ("val/a", "test/a"):
        _image(folder / name / "1.jpg")


def _twice(folder: Path) -> None:
    for name in ("train/a", "val/a", "valid/a"):
        _image(folder / name / "1.jpg")


def _different(folder: Path) -> None:
    for name in ("train/a", "train/b", "test/a", "test/c"):
        _image(folder / name / "1.jpg")


def _beside_splits(folder: Path) -> None:
    for name in ("extra", "Train/a", "Train/b", "test/a", "test/b"):
        _image(folder / name / "1.jpg")


def _many_beside_splits(folder: Path) -> None:
    for name in ("train", "valid", *(f"class {number}" for number in range(7))):
        _image(folder / name / "1.jpg")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder.rmdir(), r"does not exist; name a folder"),
        (_nothing, r"holds no class folders; put the files of each class"),
        (_loose, r"holds 1 files \(1.jpg, ...\) but no class folders"),
        (_single, r"holds a single class, 'only'; add"),
        (_without_images, r"has class folders but no files of a known kind \(.bmp, .gif, .jpeg"),
        (_one_empty, r"Class 'b' has 0 files of a known kind"),
        (_no_train, r"has test/ and val/ but no train/"),
        (_twice, r"has both val/ and valid/; keep one"),
        (_beside_splits, r"has Train/ and test/ and beside them extra/, .*; move .* out of it, or rename Train/ if"),
        (_many_beside_splits, r"has train/ and valid/ and beside them class 0/, .*, class 4/ and 2 more, so"),
        (_different, r"Class 'b' is in train/ but not in test/ .*\(and 1 more differ\); give both"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path, make: Any, sentence: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    make(folder)
    with pytest.raises(UserError, match=sentence):
        list_images(folder)


def test_a_file_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a file; name a folder"):
        list_images(_image(tmp_path / "1.jpg"))


def test_a_name_that_is_not_utf8_is_refused(photos: Path) -> None:
    _image(photos / "a" / "x.png").rename(os.fsdecode(os.fsencode(photos / "a") + b"/\xff.png"))
    with pytest.raises(UserError, match="not UTF-8"):
        list_images(photos)


def test_links_to_files_are_followed_and_links_to_folders_are_not(photos: Path, tmp_path: Path) -> None:
    (photos / "a" / "linked.png").symlink_to(_image(photos / "b" / "5.png", 9))
    (photos / "a" / "loop").symlink_to(photos)
    listing = list_images(photos)
    assert "a/linked.png" in [file.path for file in listing.files]
    assert listing.ignored == {"": 1}
    assert all(not entry.content.problem for entry in describe(photos, listing.files))


def test_describe_reads_digest_size_and_facts(photos: Path) -> None:
    advanced: list[int] = []
    described = describe(photos, list_images(photos).files, advanced.append)
    assert sum(advanced) == 4
    for entry in described:
        content = (photos / entry.found.path).read_bytes()
        assert (entry.content.sha256, entry.content.n_bytes, entry.content.problem) == (
            hashlib.sha256(content).hexdigest(),
            len(content),
            "",
        )
        assert (entry.content.facts["width_px"], entry.content.facts["height_px"]) == (18, 14)


def test_files_that_do_not_decode_get_a_sentence(photos: Path) -> None:
    content = (photos / "a" / "1.jpg").read_bytes()
    (photos / "a" / "cut.jpg").write_bytes(content[:-60])
    (photos / "a" / "text.jpg").write_text("hello")
    (photos / "a" / "gone.jpg").symlink_to("/nowhere/at/all.jpg")
    os.mkfifo(photos / "a" / "pipe.jpg")
    problems = {
        entry.found.path: entry.content.problem
        for entry in describe(photos, list_images(photos).files)
        if entry.content.problem
    }
    assert set(problems) == {"a/cut.jpg", "a/text.jpg", "a/gone.jpg", "a/pipe.jpg"}
    assert "damaged" in problems["a/cut.jpg"]
    assert "not a JPEG" in problems["a/text.jpg"]
    assert "broken link" in problems["a/gone.jpg"]


@pytest.mark.parametrize("suffix", [".pbm", ".pgm", ".ppm", ".pnm"])
def test_every_netpbm_name_is_listed_and_read(photos: Path, suffix: str) -> None:
    Image.new("1" if suffix == ".pbm" else "L", (9, 9)).save(photos / "a" / f"grey{suffix}", "PPM")
    described = {entry.found.path: entry for entry in describe(photos, list_images(photos).files)}
    assert described[f"a/grey{suffix}"].content.problem == ""


def test_remarks_of_the_decoders_stay_silent_and_bombs_are_errors(photos: Path) -> None:
    (photos / "a" / "bomb.ppm").write_bytes(b"P4\n10000 10000\n" + bytes(9))
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\xff broken"
    _image(photos / "a" / "exif.jpg", exif=exif)
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        described = {entry.found.path: entry for entry in describe(photos, list_images(photos).files)}
    assert remarks == []
    assert "pixels" in described["a/bomb.ppm"].content.problem
    assert described["a/exif.jpg"].content.problem == ""


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    return torch


def _rows(photos: Path) -> list[Row]:
    return [
        Row(entry.found.path, 0, "train", entry.content.sha256) for entry in describe(photos, list_images(photos).files)
    ]


def test_examples_come_in_the_order_of_the_rows(photos: Path, torch: Any) -> None:
    rows = _rows(photos)
    advanced: list[int] = []
    examples = torch.cat(list(load_examples(photos, rows, PREPROCESS, advanced.append)))
    backwards = torch.cat(list(load_examples(photos, rows[::-1], PREPROCESS)))
    assert (tuple(examples.shape), examples.dtype, sum(advanced)) == ((4, 10, 10, 3), torch.uint8, 4)
    assert torch.equal(examples.flip(0), backwards)
    assert len({example.numpy().tobytes() for example in examples}) == 4


def test_a_file_that_changed_since_the_manifest_is_refused(photos: Path) -> None:
    rows = _rows(photos)
    _image(photos / "a" / "1.jpg", seed=77)
    with pytest.raises(UserError, match=r"1\.jpg has changed since the manifest was made"):
        list(load_examples(photos, rows, PREPROCESS))
    (photos / "a" / "1.jpg").unlink()
    with pytest.raises(UserError, match=r"1\.jpg cannot be read \(No such file"):
        list(load_examples(photos, rows, PREPROCESS))


def test_real_photos_are_found_and_read(shared: Path) -> None:
    photos = shared / "datasets" / "hymenoptera"
    listing = list_images(photos)
    assert listing.classes == ("ants", "bees")
    assert {file.split for file in listing.files} == {"train", "test"}
    some = listing.files[::40]
    described = describe(photos, some)
    assert [entry.content.problem for entry in described] == [""] * len(some)
    for entry in described:
        with Image.open(photos / entry.found.path) as image:
            assert (entry.content.facts["width_px"], entry.content.facts["height_px"]) == image.size
