"""A folder of files called images that a table describes; nothing decodes them here."""

from pathlib import Path
from typing import Any

from adapters.class_folders import Listing
from adapters.table_columns import TableChoice
from adapters.table_listing import list_data_set

ENDINGS = {".png", ".jpg"}
FOUR = "images/a.png,x\nimages/b.png,x\nimages/c.png,y\nimages/d.png,y\n"


def four_images(folder: Path) -> Path:
    """Make a to d.png below images/."""
    touch(folder, *(f"images/{name}.png" for name in "abcd"))
    return folder


def touch(folder: Path, *names: str) -> None:
    """Write files that hold their own names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def listed(folder: Path, text: str | None = None, **choice: Any) -> Listing:
    """Return what is listed of a folder, once its table is written, labels.csv if the choice names no other."""
    if text is not None:
        choice["table"] = choice.get("table", "labels.csv")
        (folder / choice["table"]).parent.mkdir(parents=True, exist_ok=True)
        (folder / choice["table"]).write_text(text, encoding="utf-8")
    return list_data_set(folder, ENDINGS, TableChoice(**choice))
