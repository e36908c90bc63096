"""The test rows with all that is asked of them: labels, answers, groups, resamples, what the manifest says of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import sha256_of
from adapters.manifest_file import Manifest, read_columns
from adapters.model_files import WEIGHTS
from adapters.sealed_labels import open_labels
from tasks.answers import Answers, answered
from tasks.handoffs import MODEL
from tasks.params import Params
from tasks.params_blocks import EvaluateParams
from transfer.errors import UserError
from transfer.records import Interval, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transfer.evaluation.comparison import Groups
    from transfer.metrics.bootstrap import Resamples

MODEL_NAME = "transfer"
_WHY = "how good the model is, and whether transfer helped"
_GROUP, _DIGITS = "group", 6


@dataclass(frozen=True)
class Tested:
    """What the stage computes from.

    Args:
        classes: names.
        rows: the test rows.
        actual: their labels, int64 (N,).
        answers: of every model.
        columns: column of the manifest -> a value a row.
        resamples: of the rows, or of their groups.
        groups: of rows that depend on one another; None where each is by itself.
        settings: of the stage.
    """

    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    actual: "NDArray[np.int64]"
    answers: Answers
    columns: dict[str, list[Any]]
    resamples: "Resamples"
    groups: "Groups | None"
    settings: EvaluateParams

    @property
    def probabilities(self) -> "NDArray[np.float64]":
        """Return those of the fine-tuned model, float64 (N, C)."""
        return self.answers.probabilities[MODEL_NAME]

    def predicted(self, name: str = MODEL_NAME) -> "NDArray[np.int64]":
        """Return the classes that a model answers with, int64 (N,)."""
        classes: NDArray[np.int64] = self.answers.probabilities[name].argmax(axis=1)
        return classes

    @property
    def references(self) -> tuple[str, ...]:
        """Return the models that the fine-tuned one is compared with."""
        return tuple(name for name in self.answers.probabilities if name != MODEL_NAME)


def tested(params: Params, manifest: Manifest, rows: Sequence[Row]) -> Tested:
    """Ask every model about the test rows, open their labels, and draw the resamples.

    Args:
        params: of the project.
        manifest: whose rows.
        rows: its test rows, sealed.

    Raises:
        UserError: there are no test rows, or they are one group alone; or a model does not fit them.
    """
    import numpy as np

    from transfer.evaluation.comparison import Groups
    from transfer.metrics.bootstrap import resamples

    settings = params.evaluate
    if not rows:
        raise UserError(f"{params.data.path} has no test images; raise manifest.test_fraction or add a test/ folder.")
    answers, columns = answered(params.data.path, manifest, rows), read_columns(rows)
    rows = open_labels(Path.cwd(), rows, _WHY, sha256_of(MODEL / WEIGHTS))
    places = np.unique(columns[_GROUP], return_inverse=True)[1].reshape(-1)
    drawn = resamples(len(rows), settings.resamples, settings.seed, places)
    groups = Groups(places, drawn) if places.max() + 1 < len(rows) else None
    actual = np.array([row.label for row in rows], dtype=np.int64)
    return Tested(manifest.classes, tuple(rows), actual, answers, columns, drawn, groups, settings)


def named(name: str, interval: Interval) -> dict[str, float]:
    """Return a figure and its bounds as three, rounded."""
    found = {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {key: round(value, _DIGITS) for key, value in found.items()}


def interval_named(metrics: "dict[str, Any]", name: str) -> Interval:
    """Return what `named` wrote."""
    return Interval(metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"])


def rounded(value: float) -> float:
    """Return a figure as the metrics hold it."""
    return round(value, _DIGITS)
