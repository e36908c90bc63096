"""Our own expectations for Great Expectations: about images, copies of them, names of classes, drift.

They are classes in Great Expectations' own way: subclasses of its expectations, with metrics where it has none, known
to it by their type (`expect_images_to_be_sharp`), so that a suite of the user's may ask for them too. They are made
when first asked for, because importing Great Expectations takes seconds. Inheritance is Great Expectations' own seam.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from transfer.data import class_names
from transfer.data.drift import Profile, Shift, shift


@cache
def register() -> Mapping[str, Any]:
    """Make our expectations known to Great Expectations; return class name -> class."""
    made = (*_of_images(), *_of_groups(), *_of_names(), _of_drift())
    return {kind.__name__: kind for kind in made}


_IMAGES: Mapping[str, tuple[str, str]] = {
    "ExpectImageAspectRatiosToBeModerate": (
        "aspect_ratio",
        "Expect the longer side of every image to be at most `max_value` times the shorter one.",
    ),
    "ExpectImagesToBeSharp": (
        "sharpness",
        "Expect every image to have a sharpness (deviation of the Laplacian of luma) of at least `min_value`.",
    ),
    "ExpectImagesNotToBeDark": (
        "highlight",
        "Expect the highlight (luma that 99 % of the pixels do not exceed) of an image to be at least `min_value`.",
    ),
    "ExpectImagesNotToBeWashedOut": (
        "shadow",
        "Expect the shadow (luma that 1 % of the pixels do not exceed) of an image to be at most `max_value`.",
    ),
    "ExpectImagesToHaveContrast": (
        "contrast",
        "Expect highlight and shadow of every image to be at least `min_value` apart.",
    ),
}


def _of_images() -> Sequence[Any]:
    """Return what is asked of every image: built-in expectations with the column that each is about."""
    from great_expectations.expectations import ExpectColumnValuesToBeBetween, ExpectColumnValuesToBeInSet

    class ExpectImagesToBeUpright(ExpectColumnValuesToBeInSet):
        """Expect every image to be stored as it is to be looked at: with the EXIF orientation 1."""

        column: str = "exif_orientation"
        value_set: Any = (1,)

    kind = ExpectColumnValuesToBeBetween
    made = [_subclass(kind, name, says, column=column) for name, (column, says) in _IMAGES.items()]
    return (*made, ExpectImagesToBeUpright)


def _subclass(parent: type, name: str, says: str, metric: str | None = None, **defaults: str) -> Any:
    """Return an expectation that is another one with defaults for some of its arguments, or with a metric of ours."""
    types_of: dict[str, Any] = dict.fromkeys(defaults, str)
    body = {"__doc__": says, "__module__": __name__, "__annotations__": types_of, **defaults}
    if metric is not None:
        types_of["map_metric"] = ClassVar[str]
        body["map_metric"] = metric
    return types.new_class(name, (parent,), exec_body=lambda space: space.update(body))


def _of_groups() -> Sequence[Any]:
    """Return what is asked of rows that belong together."""
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import ColumnPairMapExpectation
    from great_expectations.expectations.metrics.map_metric_provider import (
        ColumnPairMapMetricProvider,
        column_pair_condition_partial,
    )

    class ColumnPairValuesOneWithin(ColumnPairMapMetricProvider):
        """Say of every row whether all rows with its value of column A have the same value of column B."""

        condition_metric_name = "column_pair_values.one_within"
        condition_domain_keys = ("batch_id", "table", *_OF_A_PAIR)
        condition_value_keys = ()

        @column_pair_condition_partial(engine=PandasExecutionEngine)
        def _pandas(cls: Any, column_A: Any, column_B: Any, **_: Any) -> Any:
            return column_B.groupby(column_A).transform("nunique") <= 1

    class ExpectOneValueWithin(ColumnPairMapExpectation):
        """Expect all rows that share a value of `column_A` (of a patient, say) to share the value of `column_B`."""

        ignore_row_if: str = "either_value_is_missing"
        map_metric: ClassVar[str] = "column_pair_values.one_within"
        domain_keys = ("batch_id", *_OF_A_PAIR)  # type: ignore[assignment]  # it states how many there are

    made = [
        _subclass(ExpectOneValueWithin, name, says, column_A=within, column_B=column)
        for name, (within, column, says) in _SHARED.items()
    ]
    return (ExpectOneValueWithin, *made)


_SHARED: Mapping[str, tuple[str, str, str]] = {
    "ExpectIdenticalImagesToShareOneClass": (
        "sha256",
        "class_name",
        "Expect byte-identical images to be in one class.",
    ),
    "ExpectIdenticalImagesToShareOneSplit": ("sha256", "split", "Expect byte-identical images to be in one split."),
    "ExpectNearDuplicatesToShareOneSplit": ("copies", "split", "Expect near-duplicates to be in one split."),
    "ExpectGroupsToShareOneSplit": ("user_group", "split", "Expect the images of a group to be in one split."),
}
_OF_A_PAIR = ("column_A", "column_B", "row_condition", "condition_parser", "ignore_row_if")
_NAMES: Mapping[str, tuple[str, Callable[[Sequence[str]], list[bool]]]] = {
    "ExpectClassNamesToBeDistinct": (
        "Expect no two class names to be the same but for case, Unicode form, blanks, hyphens and underscores.",
        class_names.distinct,
    ),
    "ExpectClassNamesToBeUnlike": (
        "Expect no class name to be another one with a single spelling error.",
        class_names.unlike,
    ),
    "ExpectClassNamesToBeTidy": (
        "Expect no class name to have a blank at an end, two in a row, or characters that nobody sees.",
        lambda names: [class_names.tidy(name) for name in names],
    ),
    "ExpectClassNamesNotToBeFolders": (
        "Expect no class name to be that of a folder of images, of a split or of a tool.",
        lambda names: [class_names.no_folder(name) for name in names],
    ),
    "ExpectNumberedClassNamesToBeInOrder": (
        "Expect class names that are numbers to be in the order of their indices, and not to stand among words.",
        class_names.numbers_in_order,
    ),
}


def _of_names() -> Sequence[Any]:
    return tuple(_of_name(name, says, fits) for name, (says, fits) in _NAMES.items())


def _of_name(name: str, says: str, fits: Callable[[Sequence[str]], list[bool]]) -> Any:
    """Return an expectation about the names of all classes together."""
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import ColumnMapExpectation
    from great_expectations.expectations.metrics.map_metric_provider import (
        ColumnMapMetricProvider,
        column_condition_partial,
    )

    metric = f"column_values.{name.removeprefix('Expect').lower()}"

    class Metric(ColumnMapMetricProvider):
        condition_metric_name = metric
        condition_value_keys = ()

        @column_condition_partial(engine=PandasExecutionEngine)
        def _pandas(cls: Any, column: Any, **_: Any) -> Any:
            import pandas as pd

            return pd.Series(fits([str(value) for value in column]), index=column.index, dtype=bool)

    return _subclass(ColumnMapExpectation, name, says, metric, column="class_name")


def _of_drift() -> Any:
    """Return what is asked of the distribution of a column."""
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import ColumnAggregateExpectation
    from great_expectations.expectations.metrics.column_aggregate_metric_provider import (
        ColumnAggregateMetricProvider,
        column_aggregate_value,
    )

    class ColumnStability(ColumnAggregateMetricProvider):
        """Compare the distribution of a column with an earlier one."""

        metric_name = "column.stability"
        value_keys = ("edges", "counts", "confidence")

        @column_aggregate_value(engine=PandasExecutionEngine)
        def _pandas(cls: Any, column: Any, edges: Any, counts: Any, confidence: float, **_: Any) -> Any:
            return _stability(column, edges, counts, confidence)

    class ExpectColumnDistributionToBeStable(ColumnAggregateExpectation):
        """Expect the population stability index of a column not to be surely above `max_index`.

        `edges` are those of the bins of numbers, None for names; `counts` are the images of the earlier version in each
        bin, or name -> images; `confidence` is that of the bound.
        """

        edges: Any = None
        counts: Any
        max_index: float = 0.1
        confidence: float = 0.95
        metric_dependencies: ClassVar[tuple[str, ...]] = ("column.stability",)
        success_keys: ClassVar[tuple[str, ...]] = ("edges", "counts", "max_index", "confidence")

        def _validate(self, metrics: Any, *_: Any, **__: Any) -> Any:
            found = metrics["column.stability"]
            return {"success": bool(found["low"] <= self.max_index), "result": {"observed_value": found}}

    return ExpectColumnDistributionToBeStable


def _stability(column: Any, edges: Any, counts: Any, confidence: float) -> dict[str, Any]:
    held = column.dropna()
    if not 0.5 <= confidence < 1.0:
        raise ValueError(f"confidence is {confidence:g}, but must be at least 0.5 and below 1")
    if edges is not None and len(counts) != len(edges) + 1:
        raise ValueError(f"there are {len(counts)} counts, but must be one more than the {len(edges)} edges")
    if edges is None and not hasattr(counts, "items"):
        raise ValueError("counts of a column without edges must be an object, name -> images")
    all_counts = list(counts if edges is not None else counts.values())
    if min(all_counts, default=-1) < 0 or not sum(all_counts):
        raise ValueError("counts must hold at least one number above 0, none of them negative")
    if not len(held):
        raise ValueError("the column holds no value")
    if edges is None:
        names: list[str] = [str(value) for value in held]
        found = shift(Profile(None, {str(name): int(count) for name, count in counts.items()}), names, confidence)
    else:
        profile = Profile(tuple(float(edge) for edge in edges), tuple(int(count) for count in counts))
        found = shift(profile, held.to_numpy(dtype=float), confidence)
    return _plain(found)


def _plain(found: Shift) -> dict[str, Any]:
    return {
        "index": found.index,
        "low": found.low,
        "high": found.high,
        "most": found.most,
        "before": found.before,
        "now": found.now,
    }
