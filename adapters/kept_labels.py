"""Labels that looked wrong, and that a person has looked at and kept: they are not named again.

.rootstock/relabel/kept.csv, a line a label; an image with other bytes or another label is another one.
"""

from collections.abc import Iterable
from pathlib import Path

from adapters.project import state_folder
from adapters.tables import read_table, write_table

_COLUMNS = ("sha256", "class")


def kept_labels(project: Path) -> frozenset[tuple[str, str]]:
    """Return digest and class of every label that was kept."""
    path = _path(project)
    rows = read_table(path) if path.is_file() else []
    return frozenset((row.get("sha256") or "", row.get("class") or "") for row in rows)


def keep_labels(project: Path, labels: Iterable[tuple[str, str]]) -> int:
    """Add digest and class of labels, and return how many of them had not been kept before.

    Raises:
        EnvironmentFault: the disk is full or the folder cannot be written.
    """
    before = kept_labels(project)
    after = before.union(labels)
    if after != before:
        write_table(_path(project), [_COLUMNS, *sorted(after)])
    return len(after) - len(before)


def _path(project: Path) -> Path:
    return state_folder(project) / "relabel" / "kept.csv"
