"""Which columns of a label table say what: the image, its label, its group, its split; and the user's other columns."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.class_folders import SPLIT_FOLDERS
from transfer.data.labels import flags_among, most_flags, text_of
from transfer.errors import UserError

FILE_NAME = "file_name"
NAMES: Mapping[str, tuple[str, ...]] = {
    "image": (FILE_NAME, "path", "image", "filepath", "filename", "file", "image_path"),
    "label": ("label", "class", "target"),
    "group": ("group", "patient", "patient_id"),
    "split": ("split",),
}
MOST_COLUMNS = 50
TEXT, NUMBER = "string", "float64"
_SPLITS = {**SPLIT_FOLDERS, "training": "train", "dev": "val"}
_NUMBER = re.compile(r"^[+-]?(?!0\d)(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
_N_LISTED = 12


@dataclass(frozen=True, slots=True)
class TableChoice:
    """What params.yaml says of a data set's table; None is the usual one.

    Args:
        table: the table, within the data set's folder.
        images: the folder within it that the table's paths start from; None is the table's own.
        image: the column of image paths.
        label: the column of labels.
        group: the column of groups.
        split: the column of splits.
        columns: the other columns that are kept; None for all of them.
    """

    table: str | None = None
    images: str | None = None
    image: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    columns: tuple[str, ...] | None = None

    def named(self) -> dict[str, str]:
        """Return the columns that are named: role -> column."""
        roles = {"image": self.image, "label": self.label, "group": self.group, "split": self.split}
        return {role: name for role, name in roles.items() if name is not None}


def find_roles(head: Sequence[str], choice: TableChoice, source: str) -> dict[str, str]:
    """Return role -> column, of the roles that the table has a column for.

    Args:
        head: names of the columns.
        choice: what params.yaml names.
        source: what sentences call the table.

    Raises:
        UserError: a named column is not there, two could be meant, or none holds the images.
    """
    found = {}
    for role, usual in NAMES.items():
        named = choice.named().get(role)
        if named is not None:
            if named not in head:
                raise UserError(f"data.{role} is {named!r}, but {source} has only {listed(head)}; name one of them.")
            found[role] = named
            continue
        able = [name for name in head if name.lower() in usual and name not in choice.named().values()]
        if usual[0] == FILE_NAME in able:  # Hugging Face's layout decides
            able = [FILE_NAME]
        if len(able) > 1:
            raise UserError(
                f"{source} has the columns {' and '.join(able)}, which may both hold the {role}; say which with "
                f"data.{role}={able[0]} or data.{role}={able[1]}."
            )
        if able:
            found[role] = able[0]
    if "image" not in found:
        raise UserError(
            f"{source} has no column of image paths called {' or '.join(NAMES['image'][:3])}, only {listed(head)}; "
            f"name the columns in its first line, or say which it is with data.image=COLUMN."
        )
    return found


def names_images(head: Collection[str], choice: TableChoice) -> bool:
    """Say whether a column seems to hold image paths.

    Args:
        head: names of the columns.
        choice: what params.yaml names.
    """
    return choice.image is not None or any(name.lower() in NAMES["image"] for name in head)


def refuse_no_label(columns: Mapping[str, Sequence[Any]], roles: Mapping[str, str], source: str) -> UserError:
    """Return why a table without a column of labels cannot be used.

    Args:
        columns: name -> a value a row.
        roles: what `find_roles` returned.
        source: what the sentence calls the table.
    """
    others = {name: values for name, values in columns.items() if name not in roles.values()}
    flags = flags_among(others)
    if len(flags) > 1:
        several = most_flags([others[name] for name in flags]) > 1
        why = "which says that one image is of several classes (multi-label)" if several else "one for each class"
        return UserError(
            f"{source} has no column of labels but columns of 0 and 1 ({listed(flags)}), {why}; "
            f"write one column called label that names the one class of each image."
        )
    return UserError(
        f"{source} has no column of labels called {' or '.join(NAMES['label'])}, only {listed([*columns])}; "
        f"say which it is with data.label=COLUMN, or put the images of each class into a folder of its own."
    )


def splits_of(values: Sequence[Any], places: Sequence[str]) -> list[str]:
    """Return "train", "val", "test" or "" for each row.

    Raises:
        UserError: another word.
    """
    found = []
    for value, place in zip(values, places, strict=True):
        text = text_of(value)
        if text and text.lower() not in _SPLITS:
            raise UserError(f"The split in {place} is {text[:40]!r}; write train, val or test there, or nothing.")
        found.append(_SPLITS[text.lower()] if text else "")
    return found


def kept_columns(
    columns: Mapping[str, Sequence[Any]], roles: Mapping[str, str], choice: TableChoice, source: str
) -> dict[str, tuple[str, Sequence[str | float | None]]]:
    """Return the user's own columns: name -> Arrow type and a value a row.

    A column of numbers is one of numbers; every other one holds texts. Columns without any value, and of lists or
    mappings, are left out.

    Raises:
        UserError: a column that data.columns names is not there or holds lists, or there are too many to keep.
    """
    names = [name for name in columns if name not in roles.values()]
    for name in choice.columns or ():
        if name not in columns:
            raise UserError(f"data.columns names {name!r}, but {source} has only {listed([*columns])}; name these.")
        if not _is_flat(columns[name]):
            raise UserError(f"data.columns names {name!r}, which holds lists in {source}; leave it out.")
    kept = [name for name in names if (choice.columns is None or name in choice.columns) and _is_flat(columns[name])]
    if len(kept) > MOST_COLUMNS:
        raise UserError(
            f"{source} has {len(kept)} columns beside those of the data set, and at most {MOST_COLUMNS} are kept; say "
            f"which with data.columns=[{kept[0]},...]."
        )
    typed = {name: _typed(columns[name]) for name in kept}
    return {name: (kind, values) for name, (kind, values) in typed.items() if any(v is not None for v in values)}


def listed(names: Sequence[str]) -> str:
    """Return names for a sentence, some of many."""
    shown = ", ".join(names[:_N_LISTED])
    return f"{shown} and {len(names) - _N_LISTED} more" if len(names) > _N_LISTED else shown


def _is_flat(values: Sequence[Any]) -> bool:
    return not any(isinstance(value, list | dict) for value in values)


def _typed(values: Sequence[Any]) -> tuple[str, Sequence[str | float | None]]:
    texts = [text_of(value) for value in values]
    if all(not text or _NUMBER.match(text) for text in texts):
        numbers = [float(text) if text else None for text in texts]
        if all(number is None or math.isfinite(number) for number in numbers):
            return NUMBER, numbers
    return TEXT, [text or None for text in texts]
