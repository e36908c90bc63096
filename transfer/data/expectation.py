"""An expectation and what checking it found, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]
Table = Literal["files", "readable", "classes"]
Rule = Literal[
    "not_null", "unique", "between", "in_set",
    "sharp", "not_dark", "not_washed_out", "contrast", "moderate_aspect", "upright",
    "one_class", "one_split", "copies_in_one_split", "group_in_one_split",
    "distinct_names", "unlike_names", "tidy_names", "no_folder_names", "numbers_in_order",
    "stable", "given",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that a table must fulfil.

    Args:
        name: unique within a suite.
        table: "files" (all rows of the manifest), "readable" (those that decode) or "classes" (a row a class).
        column: the column that the rule is about; "" where it is about the table.
        rule: "between" (low, high; None is open), "in_set" (the allowed values); "stable" (edges, counts, largest
            index, confidence); "given" (type, arguments as JSON) for what a suite of the user's asks; the others take
            one bound or nothing.
        arguments: of the rule.
        severity: "error" stops the run, "warning" is told, "info" stands in the report.
        says: what is expected, a phrase for people.
        remedy: what to do when it is not so.
        mostly: share of the rows that must fulfil it, in [0, 1].
        shown: whether looking at the images tells more than their names.
    """

    name: str
    table: Table
    column: str
    rule: Rule
    arguments: tuple[Any, ...]
    severity: Severity
    says: str
    remedy: str
    mostly: float = 1.0
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What checking an expectation found.

    Args:
        expectation: what was checked.
        passed: whether enough rows fulfil it.
        n_checked: rows looked at.
        n_unexpected: rows that do not fulfil it; of an expectation about the whole table 1 where it is not fulfilled.
        examples: the first of them: path or class name, and the value found. Copies and members of a group stand
            together.
        observed: what was found of the whole table; {} where rows are what was looked at.
    """

    expectation: Expectation
    passed: bool
    n_checked: int
    n_unexpected: int
    examples: tuple[tuple[str, str], ...]
    observed: Mapping[str, Any] = field(default_factory=dict)


def failed(findings: Sequence[Finding], severity: Severity) -> tuple[Finding, ...]:
    """Return the findings of one severity that did not pass."""
    return tuple(finding for finding in findings if not finding.passed and finding.expectation.severity == severity)
