"""The stage `validate`: what the data must look like, and which files no later stage may use."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.expectations import run_expectations
from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, Header, read_frame, read_header
from adapters.project import state_folder
from adapters.report_page import write_page
from tasks.handoffs import REPORT
from tasks.params import read_params
from tasks.step import step
from transfer.data.expectations import Finding, failed, suite
from transfer.errors import UserError
from transfer.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

PAGE = REPORT.with_suffix(".html")
_KEYS = {"files": "path", "readable": "path", "classes": "class_name"}
_N_NAMED = 3


@step
def check() -> None:
    """Check every expectation; write the report, the page and the quarantine list, whatever the result."""
    params, header, files = read_params(), read_header(), read_frame()
    readable = _with_copies(files[files["readable"]])
    classes = _class_table(readable, header)
    findings = run_expectations(
        {"files": files, "readable": readable, "classes": classes},
        _KEYS,
        suite(n_classes=len(header.classes), **params.validate.model_dump()),
    )
    report = _report(params.data.path, header, files, classes, findings)
    write_json(QUARANTINE, {"paths": [file["path"] for file in report["quarantined"]]}, {"manifest": MANIFEST})
    write_json(REPORT, report, {"manifest": MANIFEST})
    write_page(PAGE, report)
    print(report["summary"])


@step
def record() -> None:
    """Record the stage as an MLflow run, failed validations too."""
    from adapters.mlflow_runs import stage_run

    report = read_json(REPORT)
    with stage_run("validate") as run:
        run.params({f"validate.{key}": value for key, value in read_params().validate.model_dump().items()})
        run.metrics(report["counts"] | {"n_critical": report["n_critical"], "n_warnings": report["n_warnings"]})
        run.artifact(PAGE, "validate")
        run.artifact(REPORT, "validate")


@step
def gate() -> None:
    """Stop the run when a critical expectation failed.

    Raises:
        UserError: names what failed, how often, where, and what to do. The page it names is a copy, because whoever
            started the stage may put the outputs back as they were.
    """
    report = read_json(REPORT, made_from={"manifest": MANIFEST})
    if report["passed"]:
        return
    kept = state_folder(Path.cwd()) / "validate" / PAGE.name
    kept.parent.mkdir(exist_ok=True)
    shutil.copyfile(PAGE, kept)
    broken = [check for check in report["checks"] if not check["passed"] and check["severity"] == "critical"]
    first, more = broken[0], f" ({len(broken) - 1} more failed)" if len(broken) > 1 else ""
    named = ", ".join(example["row"] for example in first["examples"][:_N_NAMED])
    named += ", ..." if first["n_unexpected"] > _N_NAMED else ""
    raise UserError(
        f"The data set {report['data_path']} failed validation{more}: expected that {first['says']}, but "
        f"{first['n_unexpected']} of {first['n_checked']} do not fit ({named}); "
        f"{first['remedy'].rstrip('.')}; the report is {kept.relative_to(Path.cwd())}."
    )


def _with_copies(readable: "pd.DataFrame") -> "pd.DataFrame":
    """Add what is known about copies of each row, byte-identical or near, about its group, and whether it was moved."""
    by_content, by_look = readable.groupby("sha256"), readable.groupby("copies")
    by_user = readable.groupby("user_group")
    trained_on = set(readable.loc[readable["split"] == "train", "sha256"])
    return readable.assign(
        n_splits_with_content=by_content["split"].transform("nunique"),
        n_splits_with_look=by_look["split"].transform("nunique"),
        n_splits_with_group=by_user["split"].transform("nunique").fillna(1).astype(int),
        changed_side=readable["first_split"] != readable["split"],
        n_classes_with_content=by_content["class_name"].transform("nunique"),
        test_copy_of_train=(readable["split"] == "test") & readable["sha256"].isin(trained_on),
    )


def _class_table(readable: "pd.DataFrame", header: Header) -> "pd.DataFrame":
    """Count the readable rows of every class, in all and in each split."""
    import pandas as pd

    label = readable["label"]
    counts = {f"n_{split}": label[readable["split"] == split].value_counts() for split in SPLITS}
    table = pd.DataFrame({"n_images": label.value_counts(), **counts}, index=pd.RangeIndex(len(header.classes)))
    table = table.fillna(0).astype(int)
    table.insert(0, "class_name", list(header.classes))
    return table.assign(largest_to_this=table["n_images"].max() / table["n_images"].clip(lower=1))


def _report(
    data_path: str, header: Header, files: "pd.DataFrame", classes: "pd.DataFrame", findings: Sequence[Finding]
) -> dict[str, Any]:
    unreadable = files[~files["readable"]]
    n_critical, n_warnings = len(failed(findings, "critical")), len(failed(findings, "warning"))
    n_readable = len(files) - len(unreadable)
    return {
        "data_path": data_path,
        "passed": n_critical == 0,
        "summary": _summary(len(files), len(unreadable), findings),
        "n_critical": n_critical,
        "n_warnings": n_warnings,
        "counts": {
            "n_files": len(files),
            "n_readable": n_readable,
            "n_quarantined": len(unreadable),
            "n_classes": len(header.classes),
            **{f"n_{split}": int(classes[f"n_{split}"].sum()) for split in SPLITS},
        },
        "splits": list(SPLITS),
        "given_splits": list(header.given_splits),
        "checks": [_as_plain(finding) for finding in findings],
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
        "column": asked.column,
        "n_checked": finding.n_checked,
        "n_unexpected": finding.n_unexpected,
        "examples": [{"row": row, "value": value} for row, value in finding.examples],
    }


def _summary(n_files: int, n_quarantined: int, findings: Sequence[Finding]) -> str:
    critical, warnings = failed(findings, "critical"), failed(findings, "warning")
    quarantined = f", {n_quarantined} of them quarantined" if n_quarantined else ""
    n_passed = len(findings) - len(critical) - len(warnings)
    head = f"{n_files} files{quarantined}; {n_passed} of {len(findings)} expectations hold"
    notes = [f"{finding.expectation.says} ({_amount(finding)})" for finding in critical + warnings]
    return f"{head}; not so: {'; '.join(notes)}." if notes else f"{head}."


def _amount(finding: Finding) -> str:
    noun = "class" if finding.expectation.table == "classes" else "file"
    plural = "" if finding.n_unexpected == 1 else "es" if noun == "class" else "s"
    return f"{finding.n_unexpected} {noun}{plural}"
