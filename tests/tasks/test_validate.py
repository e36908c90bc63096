"""Validation of a data set: what passes, what warns, what stops the run, and what is left to read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapters.json_files import read_json
from adapters.manifest_file import MANIFEST, read_manifest
from adapters.report_page import as_markdown
from tasks import manifest, validate
from tests.tasks.validated import checked, failed
from transfer.errors import UserError

pytestmark = pytest.mark.usefixtures("great_expectations")

N_IMAGES = 30  # of each class, as `photos` leaves them


def test_a_good_data_set_passes_everything(photos: Path) -> None:
    report = checked()
    validate.gate()
    assert report["passed"]
    assert failed(report, "error") == failed(report, "warning") == {}
    assert report["counts"]["n_files"] == report["counts"]["n_readable"] == 2 * N_IMAGES
    assert sum(row["n_train"] + row["n_val"] + row["n_test"] for row in report["classes"]) == 2 * N_IMAGES
    assert len(read_manifest().rows) == 2 * N_IMAGES


def test_the_report_repeats_itself_to_the_byte(photos: Path) -> None:
    checked()
    first = [path.read_bytes() for path in (validate.REPORT, validate.PAGE)]
    checked()
    assert [path.read_bytes() for path in (validate.REPORT, validate.PAGE)] == first


def test_a_broken_image_among_good_ones_is_quarantined(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = (photos / "cats" / "00.png").read_bytes()
    (photos / "cats" / "cut.png").write_bytes(content[:100])
    report = checked()
    validate.gate()
    assert [file["path"] for file in report["quarantined"]] == ["cats/cut.png"]
    assert "61 files, 1 of them quarantined" in capsys.readouterr().out
    assert read_json(Path("artifacts/validate/quarantine.json"))["paths"] == ["cats/cut.png"]
    assert len(read_manifest().rows) == 2 * N_IMAGES


def test_too_many_broken_images_stop_the_run_and_leave_the_report(photos: Path) -> None:
    for index in range(4):
        (photos / "cats" / f"broken{index}.jpg").write_text("no image")
    report = checked()
    assert failed(report, "error") == {"readable_share": 4}
    with pytest.raises(UserError) as caught:
        validate.gate()
    sentence = str(caught.value)
    assert "at most 5.0% of the files are unreadable, but 4 of 64 do not fit" in sentence
    assert "(cats/broken0.jpg, cats/broken1.jpg, cats/broken2.jpg, ...)" in sentence
    assert "raise validate.max_quarantined_fraction" in sentence
    shutil.rmtree("artifacts/validate")
    page = Path(sentence.split("the report is ")[1].rstrip("."))
    assert "cats/broken3.jpg" in page.read_text()


def test_a_class_below_the_minimum_stops_the_run(photos: Path) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("min_images_per_class: 3", "min_images_per_class: 31"))
    report = checked()
    assert failed(report, "error") == {"class_size": 2}
    with pytest.raises(UserError, match=r"at least 31 readable images, but 2 of 2 do not fit \(cats, dogs\)"):
        validate.gate()


def _copy_within(photos: Path) -> None:
    shutil.copy(photos / "cats" / "00.png", photos / "cats" / "copy.png")


def _copy_across_classes(photos: Path) -> None:
    shutil.copy(photos / "cats" / "00.png", photos / "dogs" / "copy.png")


def _imbalance(photos: Path) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("max_class_ratio: 20.0", "max_class_ratio: 2.0"))
    for index in range(20):
        (photos / "dogs" / f"{index:02d}.png").unlink()


def _noise(width_px: int, height_px: int) -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _small(photos: Path) -> None:
    _noise(7, 40).save(photos / "cats" / "small.png")


def _palette(photos: Path) -> None:
    _noise(20, 20).convert("P").save(photos / "cats" / "palette.png")


def _turned(photos: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    _noise(20, 20).save(photos / "cats" / "turned.jpg", exif=exif)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_copy_within, {"no_copies": 2}),
        (_copy_across_classes, {"no_copies": 2, "no_copy_across_classes": 2}),
        (_imbalance, {"class_balance": 1}),
        (_small, {"width_sufficient": 1}),
        (_palette, {"plain_mode": 1}),
        (_turned, {"upright": 1}),
    ],
)
def test_what_is_odd_is_a_warning(photos: Path, change: Callable[[Path], None], expected: dict[str, int]) -> None:
    change(photos)
    report = checked()
    validate.gate()
    assert failed(report, "warning") == expected


def _blank(photos: Path) -> None:
    Image.new("RGB", (20, 20), "grey").save(photos / "cats" / "blank.png")


def _dark(photos: Path) -> None:
    _noise(20, 20).point(lambda value: value // 8).save(photos / "cats" / "dark.png")


def _light(photos: Path) -> None:
    _noise(20, 20).point(lambda value: 235 + value // 13).save(photos / "cats" / "light.png")


def _blurred(photos: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 128, dtype=np.uint8), (128, 128))
    Image.fromarray(ramp).convert("RGB").save(photos / "cats" / "blurred.png")


def _stripe(photos: Path) -> None:
    _noise(200, 12).save(photos / "cats" / "stripe.png")


@pytest.mark.parametrize(
    ("change", "name"),
    [(_blank, "contrast"), (_dark, "not_dark"), (_light, "not_washed_out"), (_blurred, "sharp"),
     (_stripe, "aspect_moderate")],
)  # fmt: skip
def test_what_an_image_lacks_is_told_once_and_shown(photos: Path, change: Callable[[Path], None], name: str) -> None:
    change(photos)
    report = checked()
    assert failed(report, "warning") == {name: 1}
    page = validate.PAGE.read_text()
    assert page.count("<img ") == page.count("data:image/") == 1


def test_an_image_that_changed_since_is_named_but_not_shown(photos: Path) -> None:
    _dark(photos)
    manifest.describe()
    _noise(21, 21).save(photos / "cats" / "dark.png")
    validate.check()
    page = validate.PAGE.read_text()
    assert "cats/dark.png" in page
    assert "<img " not in page


def test_prefect_gets_a_table_that_names_cannot_break(photos: Path) -> None:
    (photos / "dogs").rename(photos / "do|gs `x`\n# no")
    Image.new("RGB", (20, 20), "grey").save(photos / "do|gs `x`\n# no" / "blank.png")
    lines = as_markdown(checked()).splitlines()
    assert lines[0].startswith("**The data can be used, with 2 warnings.**")
    rows = [line for line in lines if line.startswith("| warning")]
    assert len(rows) == 2
    assert all(row.count("|") == 5 for row in rows)


def test_test_images_that_were_trained_on_are_counted(photos: Path) -> None:
    photos.rename("all")
    shutil.copytree("all", photos / "train")
    for name in ("cats", "dogs"):
        (photos / "test" / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (20, 20), (index, len(name) * index, 9)).save(
                photos / "test" / name / f"{name}{index}.png"
            )
        Image.new("RGB", (20, 20), "white" if name == "cats" else "black").save(photos / "test" / name / "own.png")
    for index in range(N_IMAGES):
        shutil.copy(photos / "train" / "cats" / f"{index:02d}.png", photos / "test" / "cats")
    manifest.describe()
    trained = sum(row.split == "train" for row in _rows("cats"))
    report = checked()
    assert failed(report, "warning")["no_training_copy_in_test"] == trained
    assert "no test image is byte-identical to a training image" in report["summary"]
    assert report["passed"]


def _rows(class_name: str) -> list[Any]:
    import pandas as pd

    frame = pd.read_parquet(MANIFEST)
    return [*frame[(frame["class_name"] == class_name) & frame["path"].str.startswith("train/")].itertuples()]


def test_the_page_needs_nothing_else_and_escapes_names(photos: Path) -> None:
    (photos / "dogs").rename(photos / "<script>alert(1)<")
    checked()
    page = validate.PAGE.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;" in page
    assert "://" not in page
    assert all(part.startswith('"data:image/') for part in page.split("src=")[1:])
