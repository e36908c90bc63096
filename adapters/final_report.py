"""Write the report: one page that holds everything it shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.json_files import write_text
from adapters.page import ENDING, OPENING, render
from adapters.report_style import REPORT_STYLE
from adapters.report_template import HEAD
from adapters.report_template_rest import REST

SECTIONS = (
    ("gain", "Gain"), ("data", "Data"), ("ranking", "Backbone"), ("training", "Learning curves"),
    ("confusion", "Confusion"), ("calibration", "Calibration"), ("slices", "Slices"), ("examples", "Examples"),
    ("cost", "Cost"), ("lineage", "Lineage"), ("card", "Model card"),
)  # fmt: skip


def write_report(path: Path, content: Mapping[str, Any]) -> None:
    """Write the page atomically; every value is escaped.

    Args:
        path: the HTML file.
        content: what the template shows, see `tasks.report`.
    """
    template = OPENING + HEAD + REST + ENDING
    write_text(path, render(template, {"sections": SECTIONS, **content}, REPORT_STYLE))
