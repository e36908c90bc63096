"""What the report of `validate` holds, and how it says it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapters.manifest_file import Header
from adapters.previous_data import PreviousData
from transfer.data.expectation import Expectation, Finding, failed
from transfer.data.expectations import WORDS
from transfer.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

_STABLE = "stable"


def report_of(
    data_path: str,
    header: Header,
    files: "pd.DataFrame",
    classes: "pd.DataFrame",
    findings: Sequence[Finding],
    previous: PreviousData | None,
) -> dict[str, Any]:
    """Return the report as JSON-able values: the same inputs give the same bytes."""
    unreadable = files[~files["readable"]]
    errors, warnings = failed(findings, "error"), failed(findings, "warning")
    return {
        "data_path": data_path,
        "passed": not errors,
        "summary": _summary(len(files), len(unreadable), findings),
        "n_errors": len(errors),
        "n_warnings": len(warnings),
        "counts": {
            "n_files": len(files),
            "n_readable": len(files) - len(unreadable),
            "n_quarantined": len(unreadable),
            "n_classes": len(header.classes),
            **{f"n_{split}": int(classes[f"n_{split}"].sum()) for split in SPLITS},
        },
        "splits": list(SPLITS),
        "given_splits": list(header.given_splits),
        "checks": [_as_plain(finding) for finding in findings],
        "drift": _drift(findings, previous),
        "classes": classes.drop(columns="largest_to_this").to_dict("records"),
        "quarantined": unreadable[["path", "problem"]].to_dict("records"),
        "ignored": dict(header.ignored),
    }


def _as_plain(finding: Finding) -> dict[str, Any]:
    asked = finding.expectation
    return {
        "name": asked.name,
        "severity": asked.severity,
        "passed": finding.passed,
        "says": asked.says,
        "remedy": asked.remedy,
        "table": asked.table,
        "column": asked.column,
        "n_checked": finding.n_checked,
        "n_unexpected": finding.n_unexpected,
        "observed": _observed(finding),
        "shown": asked.shown,
        "examples": [{"row": row, "value": value} for row, value in finding.examples],
    }


def _observed(finding: Finding) -> str:
    found = finding.observed
    if not found:
        return ""
    if finding.expectation.rule == _STABLE:
        moved = f"{found['most']}: {found['before']:.1%} before, {found['now']:.1%} now"
        return f"index {found['index']:.2f}, between {found['low']:.2f} and {found['high']:.2f}; {moved}"
    return f"found {found['value']}" if set(found) == {"value"} else f"found {dict(found)}"


def _drift(findings: Sequence[Finding], previous: PreviousData | None) -> dict[str, Any] | None:
    """Return what moved since the earlier version, what moved most first; None without one."""
    if previous is None:
        return None
    found = [one for one in findings if one.expectation.rule == _STABLE]
    columns = [
        {
            "column": one.expectation.column,
            "says": WORDS.get(one.expectation.column, one.expectation.column),
            "passed": one.passed,
            "severity": one.expectation.severity,
            **one.observed,
        }
        for one in sorted(found, key=lambda one: -float(one.observed["index"]))
    ]
    return {"data": previous.data_digest, "n_images": previous.n_images, "columns": columns}


def _summary(n_files: int, n_quarantined: int, findings: Sequence[Finding]) -> str:
    unmet = (*failed(findings, "error"), *failed(findings, "warning"))
    n_passed = sum(finding.passed for finding in findings)
    quarantined = f", {n_quarantined} of them quarantined" if n_quarantined else ""
    head = f"{n_files} files{quarantined}; {n_passed} of {len(findings)} expectations hold"
    notes = [f"{finding.expectation.says} ({_short_amount(finding)})" for finding in unmet]
    return f"{head}; not so: {'; '.join(notes)}." if notes else f"{head}."


def _short_amount(finding: Finding) -> str:
    if finding.observed:
        return _observed(finding).split(",", maxsplit=1)[0]
    return f"{finding.n_unexpected} {_noun(finding.expectation, finding.n_unexpected)}"


def _noun(expectation: Expectation, number: int) -> str:
    if expectation.table == "classes":
        return "class" if number == 1 else "classes"
    return "file" if number == 1 else "files"
