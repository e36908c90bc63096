"""The page of `validate` in a real browser: no width overflows, nothing is asked for, every image is drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.manifest_file import read_frame
from adapters.previous_data import described, write_previous
from tasks import manifest, validate
from tasks.params import read_params
from tasks.validate_tables import limits_of, readable_table
from tests.tasks.test_report_in_browser import BROWSER, DESKTOP_PX, OWN, PHONE_PX, SMALLEST_PHONE_PX, seen

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine; install the package chromium"),
]
SHORTEST_LINE_PX = 120  # of a name in a table: narrower, it is a column of letters
NAMES = ("<script>parent.ran=1<", "dogs ", "a class with one word " + "x" * 90, "Dogs")


@pytest.fixture
def page(project: Path) -> Path:
    """Leave a page on which something is amiss everywhere."""
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("path: data/digits", "path: photos"))
    draw = np.random.default_rng(0)
    for name in NAMES:
        folder = project / "photos" / name
        folder.mkdir(parents=True)
        for index in range(6):
            size = (10, 12 + 200 * (index == 1), 3)
            Image.fromarray(draw.integers(0, 256, size, dtype=np.uint8)).save(folder / f"{'long ' * 20}{index}.png")
        Image.new("RGB", (40, 40), "grey").save(folder / "blank.png")
        (folder / "broken.png").write_bytes(b"no image")
    asked = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "brightness", "min_value": 0.9}}
    (project / "expectations/mine.json").write_text(json.dumps({"expectations": [{**asked, "severity": "info"}]}))
    manifest.describe()
    readable = readable_table(read_frame(), limits_of(read_params().validate))
    write_previous(project, described(readable.assign(brightness=0.1, mode="L"), "photos", "d" * 32 + ".dir"))
    validate.check()
    return project / validate.PAGE


@pytest.mark.parametrize("width_px", [SMALLEST_PHONE_PX, PHONE_PX, DESKTOP_PX])
def test_nothing_overflows_nothing_runs_and_nothing_is_asked_for(page: Path, tmp_path: Path, width_px: int) -> None:
    at = seen(page, tmp_path, width_px)
    assert (at.found["width"], at.found["scroll"], at.found["wide"]) == (width_px, width_px, [])
    assert min(at.found["named"]) > SHORTEST_LINE_PX
    assert (at.found["ran"], at.found["scripts"]) == (None, 0)
    assert [name for name in at.found["asked"] if not name.startswith("data:")] == []
    assert [address for address in at.asked if not OWN.match(address)] == []
    assert len(at.found["images"]) > 0
    assert min(at.found["images"]) > 0
