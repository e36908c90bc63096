"""Class names from a column of labels as people write them; labels that name several classes at once are refused."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from transfer.errors import UserError

_LISTED = re.compile(r"^\s*([\[({].*[\])}])\s*$", re.DOTALL)
_INTEGER = re.compile(r"^[+-]?\d+(\.0*)?$")
_FRACTION = re.compile(r"^[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?$")
_SEPARATORS = ("|", ";", ",")
_SHOWN = 60
_LONGEST = 255  # characters of a name; a folder's cannot be longer either
_FLAGS = ("0", "1", "false", "true")
_ONE_LABEL = "give every image one label"


def text_of(value: Any) -> str:
    """Return a cell as text: no spaces around it, whole numbers without a fraction, nothing as "".

    Args:
        value: a text, number, truth value, date or None.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() else repr(value)  # noqa: PLR0124  NaN
    return str(value).strip()


def class_names(values: Sequence[Any], images: Sequence[str], source: str) -> tuple[str, ...]:
    """Return the class name of each image.

    Labels that are all whole numbers become "0", "1", ... whether they were written 1, 1.0 or 01.

    Args:
        values: labels as a table holds them: texts, numbers, truth values.
        images: what the sentences call each image, as many.
        source: what they call the table.

    Raises:
        UserError: a label is missing, too long, is a list or names several classes, or labels are measurements.
    """
    for value, image in zip(values, images, strict=True):
        if isinstance(value, list | tuple | dict | set | bytes) or _is_written_list(value):
            raise UserError(
                f"{source} gives {image} the label {_shown(value)}, a list, as for several classes at once (multi-label); "
                f"{_ONE_LABEL}."
            )
    names = [text_of(value) for value in values]
    for name, image in zip(names, images, strict=True):
        if not name:
            raise UserError(f"{source} gives {image} no label; {_ONE_LABEL}, or remove the row.")
        if len(name) > _LONGEST:
            raise UserError(
                f"{source} gives {image} a label of {len(name):,} characters, and a class's name has at most {_LONGEST}; "
                f"write a short one, or name another column as the label."
            )
    kinds = dict.fromkeys(names)
    if all(_INTEGER.match(kind) for kind in kinds):
        whole = {kind: str(int(kind.partition(".")[0])) for kind in kinds}
        return tuple(whole[name] for name in names)
    _refuse_measurements(kinds, source)
    _refuse_several(names, images, source)
    return tuple(names)


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Return distinct class names sorted: whole numbers by value, so that class 2 comes before class 10, else as texts."""
    distinct = set(names)
    if all(_INTEGER.match(name) for name in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def flags_among(columns: dict[str, Sequence[Any]]) -> tuple[str, ...]:
    """Return the columns that hold 0 and 1 alone (or false and true), as if each were a class.

    Args:
        columns: name -> a value a row.
    """
    return tuple(
        name
        for name, values in columns.items()
        if all(not isinstance(value, list | dict) and text_of(value).lower() in _FLAGS for value in values)
    )


def most_flags(columns: Sequence[Sequence[Any]]) -> int:
    """Return how many of some columns of 0 and 1 are 1 in one row, at most.

    Args:
        columns: as `flags_among` finds them.
    """
    return max((sum(text_of(value).lower() in ("1", "true") for value in row) for row in zip(*columns, strict=True)))


def _is_written_list(value: Any) -> bool:
    """Say whether a text is a list or mapping of several labels, as Python or JSON would write it."""
    if not isinstance(value, str) or not _LISTED.match(value):
        return False
    inside = value.strip()[1:-1]
    return value.strip()[0] in "[{" or "," in inside


def _refuse_measurements(kinds: dict[str, None], source: str) -> None:
    if all(_FRACTION.match(kind) for kind in kinds):
        example = next(kind for kind in kinds if not _INTEGER.match(kind))
        raise UserError(
            f"The labels of {source} are numbers with fractions ({example}, ...), but classes are needed, not "
            f"measurements; write a class for each range of them."
        )


def _refuse_several(names: Sequence[str], images: Sequence[str], source: str) -> None:
    distinct = dict.fromkeys(names)
    for separator in (*_SEPARATORS, " "):
        parts = {name: [part.strip() for part in name.split(separator)] for name in distinct if separator in name}
        if not parts or not _name_several(parts, distinct, by_count=separator != " "):
            continue
        first = next(name for name in names if name in parts)
        image = images[names.index(first)]
        raise UserError(
            f"{source} gives {image} the label {_shown(first)}, which seems to name several classes at once "
            f"(multi-label, separated by {separator!r}); {_ONE_LABEL}, and write a class's name without {separator!r}."
        )


def _name_several(parts: dict[str, list[str]], distinct: dict[str, None], *, by_count: bool) -> bool:
    """Say whether labels are made of other labels, or are varying numbers of fewer parts than there are labels."""
    if any(all(part in distinct for part in own) for own in parts.values()):
        return True
    pieces = {part for own in parts.values() for part in own} | {name for name in distinct if name not in parts}
    counts = sorted({len(own) for own in parts.values()} | ({1} if len(parts) < len(distinct) else set()))
    return by_count and len(pieces) < len(distinct) and any(low < high for low, high in pairwise(counts))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
