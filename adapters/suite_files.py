"""The user's own suites: files in Great Expectations' own JSON, read as data; nothing in them is ever executed."""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.expectations import GIVEN, TOOLS_SEVERITY, quiet_tool, translated
from adapters.suite_folder import FOLDER, PREVIOUS
from transfer.data.expectation import Expectation
from transfer.errors import UserError

DEFAULT_TABLE = "readable"
_MOST_BYTES = 1_000_000
_OURS = (
    "column_distribution_to_be_stable class_names_not_to_be_folders class_names_to_be_distinct class_names_to_be_tidy "
    "class_names_to_be_unlike groups_to_share_one_split identical_images_to_share_one_class "
    "identical_images_to_share_one_split image_aspect_ratios_to_be_moderate images_not_to_be_dark "
    "images_not_to_be_washed_out images_to_be_sharp images_to_be_upright images_to_have_contrast "
    "near_duplicates_to_share_one_split numbered_class_names_to_be_in_order one_value_within"
)
# What Great Expectations has for a table in memory. Left out: what takes SQL, other tables or JSON schemas, which are
# programs or lead out of the project.
_TOOLS = (
    "column_distinct_values_to_be_in_set column_distinct_values_to_contain_set column_distinct_values_to_equal_set "
    "column_max_to_be_between column_mean_to_be_between column_median_to_be_between column_min_to_be_between "
    "column_most_common_value_to_be_in_set column_pair_values_a_to_be_greater_than_b column_pair_values_to_be_equal "
    "column_proportion_of_non_null_values_to_be_between column_proportion_of_unique_values_to_be_between "
    "column_stdev_to_be_between column_sum_to_be_between column_to_exist "
    "column_unique_value_count_to_be_between column_value_lengths_to_be_between column_value_lengths_to_equal "
    "column_value_z_scores_to_be_less_than column_values_to_be_between column_values_to_be_in_set "
    "column_values_to_be_null column_values_to_be_unique column_values_to_match_regex "
    "column_values_to_match_regex_list column_values_to_not_be_in_set column_values_to_not_be_null "
    "column_values_to_not_match_regex column_values_to_not_match_regex_list compound_columns_to_be_unique "
    "multicolumn_sum_to_equal select_column_values_to_be_unique_within_record table_column_count_to_be_between "
    "table_column_count_to_equal table_columns_to_match_ordered_list table_columns_to_match_set "
    "table_row_count_to_be_between table_row_count_to_equal"
)
ALLOWED = tuple(f"expect_{name}" for name in sorted((*_OURS.split(), *_TOOLS.split())))
# Pandas evaluates conditions as Python; $PARAMETER is looked up outside the file.
_REFUSED = ("row_condition", "condition_parser", "windows", "catch_exceptions", "result_format")
_PARTS = (
    *("type", "kwargs", "meta", "severity", "description", "notes"),
    *("id", "rendered_content", "expectation_context", "success_on_last_run"),
)  # of an expectation in Great Expectations' JSON; the second row says nothing about what is asked
_SEVERITIES = {**{tools: ours for ours, tools in TOOLS_SEVERITY.items()}, "error": "error"}


def read_suites(
    columns: Mapping[str, Sequence[str]], folder: Path = FOLDER, taken: Collection[str] = ()
) -> tuple[Expectation, ...]:
    """Read every suite of a folder, sorted by name.

    Args:
        columns: table -> its columns.
        folder: the folder; without it there are no suites.
        taken: names of expectations that are none of the user's.

    Raises:
        UserError: a file is no suite, asks for what cannot be checked, or gives a name that another expectation has.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.name != PREVIOUS.name)
    asked = [one for path in paths for one in _read_suite(path, columns)]
    names = [one.name for one in asked]
    for one in asked:
        if one.name in taken:
            raise UserError(
                f"{folder} has an expectation with the name {one.name!r}, which one of Rootstock's own has; "
                "give it another."
            )
        if names.count(one.name) > 1:
            raise UserError(f"{folder} has two expectations with the name {one.name!r}; give each a name of its own.")
    return tuple(asked)


def _read_suite(path: Path, columns: Mapping[str, Sequence[str]]) -> list[Expectation]:
    suite = _content(path)
    listed = suite.get("expectations") if isinstance(suite, dict) else None
    if not isinstance(listed, list):
        raise _no_suite(path, 'it has no list "expectations"')
    table = _mapping(path, suite.get("meta"), "meta").get("table", DEFAULT_TABLE)
    found = [_expectation(path, place, one, str(table), columns) for place, one in enumerate(listed, start=1)]
    with quiet_tool() as gx:
        for one in found:
            try:
                translated(gx, one)
            except Exception as error:  # pydantic's own errors, and whatever a constructor of the tool raises
                what = "; ".join(str(error).splitlines()[1:]) or str(error)
                raise _bad(path, one.name, f"is not as Great Expectations has it ({_line(what)})") from error
    return found


def _content(path: Path) -> Any:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _no_suite(path, f"it has more than {_MOST_BYTES // 1_000_000} MB")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _no_suite(path, _line(str(error))) from error


def _expectation(path: Path, place: int, item: Any, table: str, columns: Mapping[str, Sequence[str]]) -> Expectation:
    which = f"number {place}"
    kind = item.get("type") if isinstance(item, dict) else None
    if kind not in ALLOWED:
        close = difflib.get_close_matches(str(kind), ALLOWED, 1)
        hint = f"did you mean {close[0]}?" if close else "docs/data.md lists the types."
        raise _bad(path, which, f"has the type {_line(str(kind))!r}, which is not among those that are checked", hint)
    if unknown := sorted(set(item) - set(_PARTS)):
        close = difflib.get_close_matches(unknown[0], _PARTS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_PARTS[:6])}."
        raise _bad(path, which, f"has the part {_line(unknown[0])!r}, which there is not", hint)
    meta, arguments = _mapping(path, item.get("meta"), "meta"), _mapping(path, item.get("kwargs"), "kwargs")
    table = str(meta.get("table", table))
    if table not in columns:
        raise _bad(path, which, f"is about the table {_line(table)!r}; there are {', '.join(columns)}")
    _refuse_programs(path, which, arguments)
    column = _column(path, which, arguments, columns[table])
    severity = _SEVERITIES.get(str(item.get("severity", "critical")))
    if severity is None:
        raise _bad(path, which, f"has the severity {item['severity']!r}; there are critical, warning and info")
    name = str(meta.get("name", f"{path.stem}.{place}"))
    says = item.get("description") or item.get("notes") or _in_words(str(kind), arguments)
    remedy = str(meta.get("remedy", f"see {path.as_posix()}."))
    mostly = arguments.get("mostly", 1.0)
    return Expectation(
        name, table, column, GIVEN, (kind, json.dumps(arguments)), severity, _line(str(says)).rstrip("."), remedy,  # type: ignore[arg-type]  # both were looked up
        mostly if isinstance(mostly, float) else 1.0, shown=table != "classes",
    )  # fmt: skip


def _refuse_programs(path: Path, which: str, arguments: Mapping[str, Any]) -> None:
    for key in arguments:
        if key in _REFUSED:
            raise _bad(path, which, f"has the argument {key!r}, which a suite of a project may not have")
    if '"$' in json.dumps(arguments).replace('": "$', ""):
        raise _bad(path, which, "has a parameter that begins with $, which is looked up outside the file")


def _column(path: Path, which: str, arguments: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return the column that an expectation is about; "" for one about the table or with a default."""
    listed = arguments.get("column_list")
    named = [arguments.get(key) for key in ("column", "column_A", "column_B")]
    named += listed if isinstance(listed, list) else []
    found = [str(name) for name in named if name is not None]
    for name in found:
        if name not in columns:
            close = difflib.get_close_matches(name, columns, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(columns)}."
            raise _bad(path, which, f"names the column {_line(name)!r}, which there is not", hint)
    return found[0] if found else ""


def _mapping(path: Path, value: Any, what: str) -> Mapping[str, Any]:
    if value is None or isinstance(value, dict):
        return value or {}
    raise _no_suite(path, f"{what!r} is no object")


def _in_words(kind: str, arguments: Mapping[str, Any]) -> str:
    told = ", ".join(f"{key} {value}" for key, value in arguments.items())
    return kind.removeprefix("expect_").replace("_", " ") + (f" ({told})" if told else "")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:197] + "..."


def _no_suite(path: Path, why: str) -> UserError:
    return UserError(f"{path} is no suite of Great Expectations ({why}); mend it or move it out of {path.parent}/.")


def _bad(path: Path, which: str, what: str, hint: str = "mend it there.") -> UserError:
    return UserError(f"The expectation {which} of {path} {what}; {hint}")
