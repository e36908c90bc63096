"""Keep which images are copies of one another: the same images are compared once.

.rootstock/copies/<digest of the images and of what compares them>.json
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import environment
from adapters.json_files import keep_newest, read_plain_json, write_plain_json
from adapters.project import state_folder
from transfer.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from transfer.data.near_duplicates import NearDuplicate

FOLDER = "copies"
_KEPT_FILES = 8


def copies_of(
    project: Path, recipe: Mapping[str, Any], images: bytes, seek: "Callable[[], Sequence[NearDuplicate]]"
) -> "tuple[NearDuplicate, ...]":
    """Return the copies among images: those kept of the same ones, else sought now; ROOTSTOCK_CACHE_GB=0 keeps none.

    Args:
        project: the project's folder.
        recipe: JSON-able facts that the result depends on beside the images.
        images: what is compared, one image after the other.
        seek: compares them.

    Raises:
        UserError: the variable is no number from 0 on.
    """
    from transfer.data.near_duplicates import NearDuplicate

    if not environment.cache_gb():
        return tuple(seek())
    key = hashlib.sha256(repr(sorted(recipe.items())).encode() + b"\0" + images).hexdigest()[:32]
    path = state_folder(project) / FOLDER / f"{key}.json"
    with suppress(UserError, KeyError, TypeError, ValueError):  # damaged, or of another kind: sought again
        return tuple(NearDuplicate(int(one), int(other), float(apart)) for one, other, apart in _read(path))
    found = tuple(seek())
    rows = [[pair.first, pair.second, pair.apart] for pair in found]
    with suppress(EnvironmentFault):  # a full disk costs seeking again and no run
        write_plain_json(path, {"copies": rows, "digest": _digest(rows)})
        keep_newest(path.parent, _KEPT_FILES)
    return found


def _read(path: Path) -> list[list[Any]]:
    kept = read_plain_json(path)
    rows: list[list[Any]] = kept["copies"]
    if kept["digest"] != _digest(rows):
        raise ValueError(path)
    return rows


def _digest(rows: Sequence[Sequence[Any]]) -> str:
    return hashlib.sha256(repr([list(row) for row in rows]).encode()).hexdigest()
