"""Validation against what the user asks and what an earlier version was like; what of either may be damaged."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.json_files import read_json
from adapters.manifest_file import read_frame
from adapters.previous_data import NAMES, NUMBERS, described, write_previous
from tasks import manifest, validate
from tasks.params import read_params
from tasks.validate_tables import limits_of, readable_table
from tests.tasks.validated import checked, failed
from transfer.errors import UserError

pytestmark = pytest.mark.usefixtures("great_expectations")

N_IMAGES = 30  # of each class, as `photos` leaves them


def test_the_users_suite_is_gated_as_it_says(photos: Path) -> None:
    wide = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "width_px", "min_value": 13}}
    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "height_px", "max_value": 9}}
    suite = {"name": "mine", "expectations": [{**wide, "severity": "info"}, mean]}
    Path("expectations/mine.json").write_text(json.dumps(suite))
    report = checked()
    assert failed(report, "info") == {"mine.1": 2 * N_IMAGES}
    assert (report["n_errors"], report["n_warnings"]) == (1, 0)
    with pytest.raises(
        UserError, match=r"column mean to be between \(column height_px, max_value 9\), but found 10; see"
    ):
        validate.gate()
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("severities: {} ", "severities: {mine.2: warning} "))
    validate.check()
    validate.gate()


def test_drift_is_told_against_what_is_kept_of_the_same_data_set(photos: Path) -> None:
    manifest.describe()
    validate.check()
    assert read_json(validate.REPORT)["drift"] is None
    readable = readable_table(read_frame(), limits_of(read_params().validate))
    write_previous(Path(), described(readable, "photos", "d" * 32 + ".dir"))
    validate.check()
    report = read_json(validate.REPORT)
    assert [one["passed"] for one in report["drift"]["columns"]] == [True] * 10
    for path in sorted((photos / "cats").iterdir()):
        Image.open(path).convert("L").resize((40, 40)).save(path)
    report = checked()
    moved = {one["column"] for one in report["drift"]["columns"] if not one["passed"]}
    assert {"mode", "width_px", "height_px"} <= moved <= {"mode", "width_px", "height_px", "n_bytes", "aspect_ratio",
        "contrast", "sharpness", "brightness"}  # fmt: skip
    assert report["passed"]
    assert "Since the earlier version" in validate.PAGE.read_text()
    write_previous(Path(), described(readable, "elsewhere", "d" * 32 + ".dir"))
    validate.check()
    assert read_json(validate.REPORT)["drift"] is None


NEGATIVE = json.dumps(
    {
        "version": 1, "path": "photos", "data": "", "n_images": 3,
        "columns": {"mode": {"edges": None, "counts": {"RGB": -1}, "quantiles": []}},
    }
)  # fmt: skip


@pytest.mark.parametrize("damage", ["{", "[]", '{"version": 1}', NEGATIVE])
def test_what_is_kept_of_the_earlier_version_may_be_damaged(photos: Path, damage: str) -> None:
    Path("expectations/previous_data.json").write_text(damage)
    manifest.describe()
    with pytest.raises(UserError, match=r"previous_data\.json is not as `rootstock run` wrote it; restore it"):
        validate.check()


def test_a_column_without_a_value_today_is_not_compared(photos: Path) -> None:
    manifest.describe()
    readable = readable_table(read_frame(), limits_of(read_params().validate))
    write_previous(Path(), described(readable, "photos", "d" * 32 + ".dir"))
    draw = np.random.default_rng(0)
    for path in sorted(photos.rglob("*.png")):
        Image.fromarray(draw.integers(100, 103, (10, 12, 3), dtype=np.uint8)).save(path)  # of one tone: not blurred too
    report = checked()
    assert failed(report, "warning")["contrast"] == 2 * N_IMAGES
    assert {one["column"] for one in report["drift"]["columns"]} == {*NUMBERS, *NAMES} - {"sharpness"}


@pytest.mark.parametrize("name", ["path_unique", "stable_mode"])
def test_a_suite_does_not_replace_what_is_always_asked(photos: Path, name: str) -> None:
    lenient = {"type": "expect_column_to_exist", "kwargs": {"column": "path"}, "meta": {"name": name, "table": "files"}}
    Path("expectations/mine.json").write_text(json.dumps({"expectations": [lenient]}))
    with pytest.raises(UserError, match=f"an expectation with the name '{name}', which one of Rootstock's own has"):
        checked()
