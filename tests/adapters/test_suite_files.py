"""Suites of the user's: what they ask is checked; what is damaged or a program is refused with one sentence."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.expectations import quiet_tool, run_expectations
from adapters.suite_files import ALLOWED, read_suites
from transfer.errors import UserError

pytestmark = pytest.mark.usefixtures("great_expectations")

FRAME = pd.DataFrame(
    {"path": list("abcd"), "width_px": [10, 20, 30, 40], "patient": list("xxyy"), "split": list("ttvt"), "empty": None}
)
COLUMNS = {"readable": [*FRAME.columns], "classes": ["class_name"]}
WIDE = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "width_px", "min_value": 15}}


def _leave(folder: Path, *expectations: Any, **more: Any) -> Path:
    content = {"name": "mine", "expectations": list(expectations), **more}
    (folder / "mine.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_what_the_tool_itself_wrote_is_read_and_checked(tmp_path: Path) -> None:
    with quiet_tool() as gx:
        kinds = gx.expectations
        own = kinds.registry.get_expectation_impl("expect_one_value_within")
        suite = gx.ExpectationSuite(
            name="mine",
            expectations=[
                kinds.ExpectColumnValuesToBeBetween(column="width_px", min_value=15, severity="warning", mostly=0.5),
                kinds.ExpectColumnMeanToBeBetween(column="width_px", max_value=20, description="images are small."),
                own(column_A="patient", column_B="split", severity="info", meta={"name": "patients"}),
                kinds.ExpectTableRowCountToBeBetween(min_value=3),
            ],
        )
        (tmp_path / "mine.json").write_text(json.dumps(suite.to_json_dict()), encoding="utf-8")
    asked = read_suites(COLUMNS, tmp_path)
    assert [one.name for one in asked] == ["mine.1", "mine.2", "patients", "mine.4"]
    assert [one.severity for one in asked] == ["warning", "error", "info", "error"]
    found = run_expectations({"readable": FRAME}, {"readable": "path"}, asked)
    assert [one.passed for one in found] == [True, False, False, True]
    assert [one.n_unexpected for one in found] == [1, 1, 2, 0]
    assert found[1].observed == {"value": "25"}
    assert (found[1].expectation.says, found[2].examples) == ("images are small", (("c", "y"), ("d", "y")))


def test_without_files_there_are_no_suites(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "previous_data.json").write_text("no suite")
    assert read_suites(COLUMNS, tmp_path) == read_suites(COLUMNS, tmp_path / "absent") == ()


def test_a_suite_may_be_about_classes(tmp_path: Path) -> None:
    pattern = {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "class_name", "regex": "^[a-z]+$"}}
    (asked,) = read_suites(COLUMNS, _leave(tmp_path, pattern, meta={"table": "classes"}))
    classes = pd.DataFrame({"class_name": ["ant", "Bee"]})
    (found,) = run_expectations({"classes": classes}, {"classes": "class_name"}, [asked])
    assert found.examples == (("Bee", "Bee"),)


BAD: dict[str, tuple[str, str]] = {  # what is wrong -> the file, what the sentence says
    "no JSON": ("{", "is no suite of Great Expectations (Expecting property name"),
    "deep": ("[" * 100_000, "is no suite of Great Expectations"),
    "no UTF-8": ("\udcff", "is no suite of Great Expectations"),
    "no object": ("[]", 'it has no list "expectations"'),
    "no list": ('{"expectations": {}}', 'it has no list "expectations"'),
    "no type": ('{"expectations": [7]}', "has the type 'None', which is not among those that are checked"),
    "meta": ('{"expectations": [], "meta": 7}', "'meta' is no object"),
    "kwargs": ('{"expectations": [{"type": "expect_column_to_exist", "kwargs": []}]}', "'kwargs' is no object"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, what: str) -> None:
    content, says = BAD[what]
    (tmp_path / "mine.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError) as caught:
        read_suites(COLUMNS, tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": "expect_column_values_to_be_betwen"}, "did you mean expect_column_values_to_be_between?"),
        ({"type": "unexpected_rows_expectation"}, "is not among those that are checked"),
        ({"type": "expect_query_results_to_match_comparison"}, "is not among those that are checked"),
        ({"kwargs": {"column": "widht_px", "min_value": 1}}, "names the column 'widht_px', which there is not; did"),
        ({"kwargs": {"column": "width_px", "minimum": 1}}, "is not as Great Expectations has it (minimum"),
        ({"kwargs": {"column": "width_px"}}, "is not as Great Expectations has it"),
        ({"severty": "info"}, "has the part 'severty', which there is not; did you mean severity?"),
        ({"severity": "fatal"}, "has the severity 'fatal'; there are critical, warning and info"),
        ({"meta": {"table": "pixels"}}, "is about the table 'pixels'; there are readable, classes"),
        ({"kwargs": {"column": "width_px", "min_value": {"$PARAMETER": "now()"}}}, "a parameter that begins with $"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=r"mine\.json") as caught:
        read_suites(COLUMNS, _leave(tmp_path, {**WIDE, **change}))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "argument", [{"row_condition": "@__import__('os').system('touch ran')", "condition_parser": "pandas"}]
)
def test_nothing_in_a_suite_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="has the argument 'row_condition', which a suite of a project may not have"):
        read_suites(COLUMNS, _leave(tmp_path, {**WIDE, "kwargs": {**WIDE["kwargs"], **argument}}))
    assert not Path("ran").exists()


def test_names_are_given_once(tmp_path: Path) -> None:
    named = {**WIDE, "meta": {"name": "wide"}}
    with pytest.raises(UserError, match="has two expectations with the name 'wide'"):
        read_suites(COLUMNS, _leave(tmp_path, named, named))
    with pytest.raises(UserError, match="an expectation with the name 'wide', which one of Rootstock's own has"):
        read_suites(COLUMNS, _leave(tmp_path, named), taken=["wide"])


def test_what_fails_while_it_is_checked_is_the_users_to_mend(tmp_path: Path) -> None:
    pattern = {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "path", "regex": "("}}
    asked = read_suites(COLUMNS, _leave(tmp_path, pattern))
    with pytest.raises(UserError, match=r"The expectation mine\.1 cannot be evaluated \(.*mend it in its file"):
        run_expectations({"readable": FRAME}, {"readable": "path"}, asked)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"column": "path", "counts": {}}, "counts must hold at least one number above 0"),
        ({"column": "width_px", "edges": [1], "counts": [0, 0]}, "counts must hold at least one number above 0"),
        ({"column": "empty", "counts": {"a": 1}}, "the column holds no value"),
        ({"column": "path", "counts": {"a": -1}}, "none of them negative"),
        ({"column": "path", "counts": [1]}, "must be an object, name -> images"),
        ({"column": "width_px", "edges": [1, 2], "counts": [1]}, "there are 1 counts, but must be one more than the 2"),
        ({"column": "path", "counts": {"a": 1}, "confidence": 5}, "confidence is 5, but must be at least 0.5"),
    ],
)
def test_what_was_before_has_to_make_sense(tmp_path: Path, arguments: dict[str, Any], says: str) -> None:
    drift = {"type": "expect_column_distribution_to_be_stable", "kwargs": arguments}
    asked = read_suites(COLUMNS, _leave(tmp_path, drift))
    with pytest.raises(UserError) as caught:
        run_expectations({"readable": FRAME}, {"readable": "path"}, asked)
    assert says in str(caught.value)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(" " * 1_000_001)
    with pytest.raises(UserError, match="it has more than 1 MB"):
        read_suites(COLUMNS, tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["column", "min_value", "max_value", "mostly", "value_set", "regex"]), JSON)
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(ALLOWED) | JSON}, optional={"kwargs": ARGUMENTS | JSON, "meta": JSON, "severity": JSON}
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.fixed_dictionaries({"expectations": st.lists(ITEMS, max_size=2)}, optional={"meta": JSON}) | JSON)
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_sentence(tmp_path: Path, content: Any) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(content), encoding="utf-8")
    complaint = ""
    try:
        read_suites(COLUMNS, tmp_path)
    except UserError as error:
        complaint = str(error)
    assert "\n" not in complaint


def test_every_type_stands_in_the_documentation(root: Path) -> None:
    text = (root / "docs" / "data.md").read_text(encoding="utf-8")
    ours = [name for name in ALLOWED if name.removeprefix("expect_") not in text and "class_names" not in name]
    assert ours == []
