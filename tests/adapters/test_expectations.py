"""What Great Expectations finds, in our order and our words, against what pandas counts."""

import logging
from typing import Any

import pandas as pd
import pytest

from adapters.expectations import N_EXAMPLES, run_expectations
from transfer.data.expectation import Expectation, Finding, failed
from transfer.data.expectations import Limits, suite
from transfer.errors import EnvironmentFault

pytestmark = pytest.mark.usefixtures("great_expectations")

FILES = pd.DataFrame(
    {
        "path": [f"f{index}" for index in range(20)],
        "label": [0, 1] * 9 + [7, 1],
        "sha256": [f"{index % 18:064d}" for index in range(20)],
        "readable": [True] * 18 + [False] * 2,
        "mode": ["RGB"] * 19 + [None],
    }
)
CLASSES = pd.DataFrame({"class_name": ["a", "b"], "n_images": [11, 2]})
LIMITS = Limits(
    max_quarantined_fraction=0.05, min_images_per_class=3, min_side_px=8, max_class_ratio=20.0, max_aspect_ratio=10.0,
    min_highlight=0.15, max_shadow=0.9, min_contrast=0.05, min_sharpness=0.02,
)  # fmt: skip
KEYS = {"files": "path", "classes": "class_name"}


def _expect(name: str, column: str, rule: Any, *arguments: Any, table: Any = "files", **more: Any) -> Expectation:
    return Expectation(name, table, column, rule, arguments, "warning", "so", "mend it.", **more)


def _run(*expectations: Expectation) -> tuple[Finding, ...]:
    return run_expectations({"files": FILES, "classes": CLASSES}, KEYS, expectations)


def test_every_rule_counts_what_pandas_counts_in_the_order_asked() -> None:
    findings = _run(
        _expect("small", "n_images", "between", 3, None, table="classes"),
        _expect("label", "label", "between", 0, 1),
        _expect("mode", "mode", "not_null"),
        _expect("copies", "sha256", "unique"),
        _expect("set", "mode", "in_set", "L"),
        _expect("fine", "path", "unique"),
    )
    assert [finding.expectation.name for finding in findings] == ["small", "label", "mode", "copies", "set", "fine"]
    assert [finding.passed for finding in findings] == [False] * 5 + [True]
    counted = [1, int((FILES["label"] > 1).sum()), 1, int(FILES["sha256"].duplicated(keep=False).sum()), 19, 0]
    assert [finding.n_unexpected for finding in findings] == counted
    assert [finding.n_checked for finding in findings] == [2, 20, 20, 20, 20, 20]
    assert findings[0].examples == (("b", "2"),)
    assert findings[1].examples == (("f18", "7"),)
    assert findings[2].examples == (("f19", "missing"),)
    assert len(findings[4].examples) == N_EXAMPLES


@pytest.mark.parametrize(("mostly", "passed"), [(0.95, False), (0.9, True), (0.0, True)])
def test_a_budget_of_unexpected_rows_is_kept_to_the_row(mostly: float, passed: bool) -> None:
    (finding,) = _run(_expect("readable", "readable", "in_set", True, mostly=mostly))
    assert (finding.passed, finding.n_unexpected) == (passed, 2)
    assert finding.examples == (("f18", ""), ("f19", ""))


def test_a_column_that_is_not_there_is_our_fault_not_the_users() -> None:
    with pytest.raises(EnvironmentFault, match="could not evaluate absent"):
        _run(_expect("absent", "nothing_of_this_name", "not_null"))


def test_the_tool_stays_quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    before = logging.root.manager.disable
    _run(_expect("fine", "path", "unique"))
    assert tuple(capfd.readouterr()) == ("", "")
    assert caplog.records == []
    assert logging.root.manager.disable == before


def test_severity_is_ours_to_gate() -> None:
    asked = suite(2, LIMITS)
    findings = tuple(Finding(item, passed=False, n_checked=1, n_unexpected=1, examples=()) for item in asked)
    assert {finding.expectation.severity for finding in failed(findings, "warning")} == {"warning"}
    assert len(failed(findings, "error")) + len(failed(findings, "warning")) == len(asked)


def test_the_suite_names_everything_once() -> None:
    asked = suite(2, LIMITS)
    assert len({item.name for item in asked}) == len(asked)
