"""Let Great Expectations check a suite; who is gated by which severity is decided elsewhere."""

import json
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adapters.image_expectations import register
from transfer.data.expectation import Expectation, Finding
from transfer.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    import pandas as pd

N_EXAMPLES = 12
GIVEN = "given"  # the rule of what a suite of the user's asks
TOOLS_SEVERITY = {"error": "critical", "warning": "warning", "info": "info"}
_LONGEST_SHOWN = 24
_TOGETHER = ("sha256", "copies", "user_group")
_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 2 * N_EXAMPLES}
# Rule -> class, the names of its arguments in order.
_RULES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "not_null": ("ExpectColumnValuesToNotBeNull", ()),
    "unique": ("ExpectColumnValuesToBeUnique", ()),
    "between": ("ExpectColumnValuesToBeBetween", ("min_value", "max_value")),
    "sharp": ("ExpectImagesToBeSharp", ("min_value",)),
    "not_dark": ("ExpectImagesNotToBeDark", ("min_value",)),
    "not_washed_out": ("ExpectImagesNotToBeWashedOut", ("max_value",)),
    "contrast": ("ExpectImagesToHaveContrast", ("min_value",)),
    "moderate_aspect": ("ExpectImageAspectRatiosToBeModerate", ("max_value",)),
    "upright": ("ExpectImagesToBeUpright", ()),
    "one_class": ("ExpectIdenticalImagesToShareOneClass", ()),
    "one_split": ("ExpectIdenticalImagesToShareOneSplit", ()),
    "copies_in_one_split": ("ExpectNearDuplicatesToShareOneSplit", ()),
    "group_in_one_split": ("ExpectGroupsToShareOneSplit", ()),
    "distinct_names": ("ExpectClassNamesToBeDistinct", ()),
    "unlike_names": ("ExpectClassNamesToBeUnlike", ()),
    "tidy_names": ("ExpectClassNamesToBeTidy", ()),
    "no_folder_names": ("ExpectClassNamesNotToBeFolders", ()),
    "numbers_in_order": ("ExpectNumberedClassNamesToBeInOrder", ()),
}


def run_expectations(
    tables: Mapping[str, "pd.DataFrame"], keys: Mapping[str, str], suite: Sequence[Expectation]
) -> tuple[Finding, ...]:
    """Check every expectation on its table, in memory: nothing is written and nothing is sent.

    Args:
        tables: name -> data frame.
        keys: name -> the column that says which row it is.
        suite: what to check.

    Returns:
        one finding an expectation, in the order of `suite` (Great Expectations returns another order).

    Raises:
        UserError: an expectation of the user's cannot be evaluated.
        EnvironmentFault: Great Expectations could not evaluate one of ours.
    """
    found: dict[str, Finding] = {}
    with quiet_tool() as gx:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        source = context.data_sources.add_pandas("tables")
        for name, frame in tables.items():
            asked = {item.name: item for item in suite if item.table == name}
            if not asked:
                continue
            batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
            checks = {item.name: translated(gx, item) for item in asked.values()}
            suite_of_table = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(checks.values())))
            definition = gx.ValidationDefinition(name=name, data=batch, suite=suite_of_table)
            try:
                outcome = context.validation_definitions.add(definition).run(
                    batch_parameters={"dataframe": frame}, result_format=_FORMAT
                )
            except Exception as error:  # of whatever kind: the tool reports what it foresaw in its results
                raise _broken(asked.values(), error) from error
            for result in outcome.results:
                item = asked[result.expectation_config.meta["name"]]
                found[item.name] = _finding(item, result, _columns(checks[item.name]), frame, keys[name])
    return tuple(found[item.name] for item in suite)


def translated(gx: Any, item: Expectation) -> Any:
    """Return an expectation as Great Expectations has it.

    Args:
        gx: the package, as `quiet_tool` yields it.
        item: the expectation.
    """
    about = {"severity": TOOLS_SEVERITY[item.severity], "meta": {"name": item.name}, "description": item.says}
    ours = register()
    match item.rule:
        case "given":
            kind, arguments = item.arguments
            return gx.expectations.registry.get_expectation_impl(kind)(**json.loads(arguments), **about)
        case "in_set":
            kinds = gx.expectations
            return kinds.ExpectColumnValuesToBeInSet(
                column=item.column, value_set=list(item.arguments), mostly=item.mostly, **about
            )
        case "stable":
            edges, counts, max_index, confidence = item.arguments
            return ours["ExpectColumnDistributionToBeStable"](
                column=item.column, edges=edges, counts=counts, max_index=max_index, confidence=confidence, **about
            )
        case rule:
            name, arguments = _RULES[rule]
            kind = ours.get(name) or getattr(gx.expectations, name)
            column = {} if "column_A" in kind.__fields__ else {"column": item.column}
            given = dict(zip(arguments, item.arguments, strict=True))
            return kind(**column, **given, mostly=item.mostly, **about)


def _finding(expectation: Expectation, result: Any, columns: Sequence[str], frame: "pd.DataFrame", key: str) -> Finding:
    content, passed = result.result, bool(result.success)
    if why := _complaint(result.exception_info):
        raise _failure(expectation, why)
    if "unexpected_count" not in content:
        value = content.get("observed_value")
        observed = value if isinstance(value, dict) else {"value": "" if value is None else _shown(value)}
        return Finding(expectation, passed, len(frame), int(not passed), (), observed)
    rows = _rows(frame, columns, content.get("partial_unexpected_list") or ())
    shown = rows[expectation.column] if expectation.column in rows else [""] * len(rows)
    examples = tuple((str(row), _shown(value)) for row, value in zip(rows[key], shown, strict=True))
    return Finding(expectation, passed, len(frame), int(content["unexpected_count"]), examples)


def _columns(check: Any) -> tuple[str, ...]:
    """Return the columns whose values decide whether a row fulfils an expectation."""
    named = [getattr(check, name, None) for name in ("column", "column_A", "column_B")]
    return tuple(name for name in (*named, *(getattr(check, "column_list", None) or ())) if name is not None)


def _rows(frame: "pd.DataFrame", columns: Sequence[str], values: Sequence[Any]) -> "pd.DataFrame":
    """Return the first rows that do not fulfil an expectation, copies and members of a group side by side.

    Great Expectations can name the rows itself, but makes an object of each, minutes of a hundred thousand images that
    are all turned. Whether a row fulfils one of the expectations that are allowed depends on its values alone: so the
    first rows with one of the first unexpected values are the first unexpected rows.
    """
    import pandas as pd

    if not columns or not values:
        return frame.head(0)
    listed = [tuple(one.values()) if isinstance(one, dict) else one for one in values]
    unexpected = pd.MultiIndex.from_tuples([tuple(one) for one in listed]) if len(columns) > 1 else pd.Index(listed)
    held = frame if len(columns) == 1 else frame[frame[columns[0]].isin(unexpected.get_level_values(0))]
    own = pd.MultiIndex.from_frame(held[list(columns)]) if len(columns) > 1 else held[columns[0]]
    rows = held[own.isin(unexpected)]
    if columns[0] not in _TOGETHER:
        return rows.head(N_EXAMPLES)
    order = pd.factorize(rows[columns[0]])[0].argsort(kind="stable")
    return rows.iloc[order[:N_EXAMPLES]]


def _complaint(raised: Mapping[str, Any]) -> str:
    """Return what Great Expectations could not do; it reports that once, or once a metric."""
    reports = [raised, *(value for value in raised.values() if isinstance(value, Mapping))]
    found = [str(one.get("exception_message")) for one in reports if one.get("raised_exception")]
    return " ".join(found[0].split())[:300].rstrip(".") if found else ""


def _failure(expectation: Expectation, why: str) -> UserError | EnvironmentFault:
    if expectation.rule == GIVEN:
        return UserError(f"The expectation {expectation.name} cannot be evaluated ({why}); mend it in its file.")
    return EnvironmentFault(
        f"Great Expectations could not evaluate {expectation.name} ({why}); run `rootstock doctor`."
    )


def _broken(asked: Iterable[Expectation], error: Exception) -> UserError | EnvironmentFault:
    given = [one.name for one in asked if one.rule == GIVEN]
    why = f"{type(error).__name__}: {' '.join(str(error).split())[:300].rstrip('.')}"
    if given:
        return UserError(f"One of the expectations {', '.join(given)} breaks Great Expectations ({why}); remove it.")
    return EnvironmentFault(f"Great Expectations broke off ({why}); run `rootstock doctor`.")


def _shown(value: Any) -> str:
    """Return a value for people: no flags, no 8.0 where a null made 8 a float, no long digests."""
    import pandas as pd

    if isinstance(value, bool):
        return ""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "missing"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


@contextmanager
def quiet_tool() -> Iterator[Any]:
    """Import Great Expectations (about 3 s) without its analytics, its remarks and its dependencies' deprecations."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        disabled = logging.root.manager.disable
        logging.disable(logging.INFO)  # its loggers set their own level on import
        try:
            register()
            yield gx
        finally:
            logging.disable(disabled)
