"""The page of labels that look wrong: each with its picture, what it is like, and what a person can decide."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from adapters.image_files import read_verified
from adapters.json_files import write_text
from adapters.page import ENDING, OPENING, render
from adapters.picture_data import shown
from adapters.review_table import COLUMNS, KEEP, RELABEL, REMOVE, Suspect, line_of
from adapters.review_template import SCRIPT, STYLE, TEMPLATE
from transfer.records import Row

_LARGE_PX, _SMALL_PX = 240, 84


@dataclass(frozen=True, slots=True)
class Case:
    """A suspect as the page shows it.

    Args:
        suspect: what was found.
        row: its own.
        alike: class -> rows that are the most like it and whose labels do not look wrong; suggested class first.
    """

    suspect: Suspect
    row: Row
    alike: Sequence[tuple[str, Sequence[Row]]]


def write_page(
    path: Path, content: Mapping[str, Any], suspects: Sequence[Suspect], cases: Sequence[Case], folder: Path
) -> None:
    """Write the page atomically; it holds all that it shows.

    Args:
        path: the HTML file.
        content: name -> what the template shows beside the cases.
        suspects: all of them, for the table that the page saves.
        cases: of the first of them.
        folder: of the data set; one image of it at a time is in memory.

    Raises:
        UserError: an image is gone or is not the one the manifest describes.
    """
    small = cache(lambda row: shown(read_verified(folder, row), _SMALL_PX))
    drawn = [
        {
            "place": place,
            "suspect": case.suspect,
            "image": shown(read_verified(folder, case.row), _LARGE_PX),
            "alike": [(name, [(row.path, small(row)) for row in rows]) for name, rows in case.alike],
        }
        for place, case in enumerate(cases)
    ]
    words = {"title": "Labels that look wrong", "keep": KEEP, "remove": REMOVE, "relabel": RELABEL}
    plain = json.dumps({"columns": COLUMNS, "rows": [line_of(one) for one in suspects]}, ensure_ascii=True)
    values = {**content, **words, "cases": drawn, "n_left_out": len(suspects) - len(cases), "plain": _inert(plain)}
    write_text(path, render(OPENING + TEMPLATE + ENDING, values, STYLE, SCRIPT))


def _inert(plain: str) -> Any:
    """Return JSON that no parser of HTML can take for a tag."""
    from markupsafe import Markup

    return Markup(plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704
