"""The page of labels that look wrong: each with its picture, what it is like, and what a person can decide."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.json_files import write_text
from adapters.page import render
from adapters.review_table import COLUMNS, KEEP, RELABEL, REMOVE, Suspect
from adapters.review_template import SCRIPT, STYLE, TEMPLATE
from transfer.errors import UserError
from transfer.records import Row

_LARGE_PX, _SMALL_PX = 240, 84


@dataclass(frozen=True, slots=True)
class Shown:
    """An image to show.

    Args:
        path: within the data set.
        content: the bytes of its file.
    """

    path: str
    content: bytes


def shown_image(folder: Path, row: Row) -> Shown:
    """Read a row's file.

    Args:
        folder: of the data set.
        row: of the manifest.

    Raises:
        UserError: the file is gone or is not the one the manifest describes.
    """
    try:
        content = (folder / row.path).read_bytes()
    except OSError as error:
        raise UserError(f"{folder / row.path} cannot be read ({error.strerror}); run `rootstock run` first.") from error
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise UserError(f"{folder / row.path} has changed since the manifest was made; run `rootstock run` first.")
    return Shown(row.path, content)


@dataclass(frozen=True, slots=True)
class Case:
    """A suspect as the page shows it.

    Args:
        suspect: what was found.
        image: its own.
        alike: class -> images that are the most like it and whose labels do not look wrong; suggested class first.
    """

    suspect: Suspect
    image: Shown
    alike: Sequence[tuple[str, Sequence[Shown]]]


def write_page(path: Path, content: Mapping[str, Any], suspects: Sequence[Suspect], cases: Sequence[Case]) -> None:
    """Write the page atomically; it holds all that it shows.

    Args:
        path: the HTML file.
        content: name -> what the template shows beside the cases.
        suspects: all of them, for the table that the page saves.
        cases: of the first of them.
    """
    kept: dict[str, str] = {}
    shown = [
        {
            "place": place,
            "suspect": case.suspect,
            "image": _uri(case.image, _LARGE_PX, {}),
            "alike": [
                (name, [(one.path, _uri(one, _SMALL_PX, kept)) for one in images]) for name, images in case.alike
            ],
        }
        for place, case in enumerate(cases)
    ]
    words = {"keep": KEEP, "remove": REMOVE, "relabel": RELABEL}
    rows = [[one.path, one.given, one.suggested, f"{one.confidence:.3f}", "", one.sha256] for one in suspects]
    plain = json.dumps({"columns": COLUMNS, "rows": rows}, ensure_ascii=True)
    values = {**content, **words, "cases": shown, "n_left_out": len(suspects) - len(cases), "plain": _inert(plain)}
    write_text(path, render(TEMPLATE, values, STYLE, SCRIPT))


def _inert(plain: str) -> Any:
    """Return JSON that no parser of HTML can take for a tag."""
    from markupsafe import Markup

    return Markup(plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


def _uri(shown: Shown, side_px: int, kept: dict[str, str]) -> str:
    """Return a small picture as a data URI; of the same image made once."""
    from transfer.data.thumbnails import thumbnail

    if shown.path not in kept:
        picture = base64.b64encode(thumbnail(shown.content, side_px)).decode("ascii")
        kept[shown.path] = f"data:image/jpeg;base64,{picture}"
    return kept[shown.path]
