"""Test images that a model may know: those with a copy, byte-identical or near, among what it learned from."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adapters.manifest_file import Manifest, read_columns
from tasks.tested import Tested, named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMN = "copy_in_training"
_COPIES = "copies"
_LEARNED_FROM = ("train", "val")


def with_leaks(rows: Tested, manifest: Manifest) -> Tested:
    """Return the test rows with a column more: whether each has a copy among training and validation images.

    Args:
        rows: what was tested.
        manifest: of the data set.
    """
    learned_from = [row for split in _LEARNED_FROM for row in manifest.of_split(split)]
    known = set(read_columns(learned_from)[_COPIES]) - {None}
    marks = ["yes" if name in known else "no" for name in rows.columns[_COPIES]]
    return replace(rows, columns={**rows.columns, COLUMN: marks})


def leak_metrics(rows: Tested) -> dict[str, Any]:
    """Return how many test images have a copy in training, and the accuracy without them.

    Args:
        rows: what `with_leaks` returned.
    """
    own = _without(rows)
    n_leaked = len(own) - int(own.sum())
    found: dict[str, Any] = {"n_test_with_copy_in_training": n_leaked}
    if not n_leaked or n_leaked == len(own):
        return found
    from transfer.evaluation.comparison import accuracy_interval

    groups = None if rows.groups is None else rows.groups.of(own)
    without = accuracy_interval(rows.actual[own], rows.predicted()[own], rows.settings.confidence, groups)
    return found | named("accuracy_without_copies", without)


def _without(rows: Tested) -> "NDArray[np.bool_]":
    import numpy as np

    return np.array([mark == "no" for mark in rows.columns[COLUMN]], dtype=bool)
