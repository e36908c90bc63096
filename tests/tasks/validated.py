"""What validating the data set of a project comes to."""

from typing import Any

from adapters.json_files import read_json
from adapters.manifest_file import MANIFEST
from tasks import manifest, validate


def checked() -> dict[str, Any]:
    """Describe and check the data set; return the report."""
    manifest.describe()
    validate.check()
    return read_json(validate.REPORT, made_from={"manifest": MANIFEST})


def failed(report: dict[str, Any], severity: str) -> dict[str, int]:
    """Return the expectations of a severity that do not hold, with how many rows do not fulfil them."""
    return {
        check["name"]: check["n_unexpected"]
        for check in report["checks"]
        if not check["passed"] and check["severity"] == severity
    }
