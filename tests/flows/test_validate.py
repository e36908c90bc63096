"""The flow `validate` on its plain path, without a server: a good data set, and one that is refused."""

from pathlib import Path

import numpy as np
import pytest

from adapters.digits import write_class_folders
from adapters.json_files import read_json
from flows.manifest import manifest
from flows.validate import validate
from transfer.data.encoding import grey_png
from transfer.errors import UserError


@pytest.fixture
def described(mlflow_project: Path) -> Path:
    contents = [grey_png(np.full((8, 8), value, dtype=np.uint8), 16) for value in range(40)]
    write_class_folders(Path("data/digits"), ["even", "odd"] * 20, contents)
    manifest.fn()
    return mlflow_project


def test_the_flow_writes_report_page_and_quarantine(described: Path) -> None:
    validate.fn()
    assert sorted(path.name for path in Path("artifacts/validate").iterdir()) == [
        "quarantine.json",
        "report.html",
        "report.json",
    ]
    assert read_json(Path("artifacts/validate/report.json"))["passed"]


def test_the_flow_stops_where_something_critical_failed(described: Path) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("min_images_per_class: 3", "min_images_per_class: 21"))
    with pytest.raises(UserError, match="at least 21 readable images"):
        validate.fn()
    assert not read_json(Path("artifacts/validate/report.json"))["passed"]
