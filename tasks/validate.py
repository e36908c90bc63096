"""The stage `validate`: what the data must look like, and which files no later stage may use."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.expectations import run_expectations
from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_frame, read_header
from adapters.previous_data import NAMES, NUMBERS, PreviousData, read_previous
from adapters.project import state_folder
from adapters.report_page import amount, as_markdown, write_page
from adapters.suite_files import read_suites
from tasks.handoffs import REPORT
from tasks.params import read_params
from tasks.params_blocks import ValidateParams
from tasks.step import step
from tasks.validate_report import report_of
from tasks.validate_tables import class_table, limits_of, readable_table
from transfer.data.expectation import Expectation
from transfer.data.expectations import stability, suite, with_severities
from transfer.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

PAGE = REPORT.with_suffix(".html")
ARTIFACT_KEY = "validation"
_KEYS = {"files": "path", "readable": "path", "classes": "class_name"}
_N_NAMED = 3


@step
def check() -> None:
    """Check every expectation; write the report, the page and the quarantine list, whatever the result.

    Raises:
        UserError: a suite of the user's, or what is kept of the earlier version, is damaged.
    """
    params, header, files = read_params(), read_header(), read_frame()
    previous, limits = read_previous(params.data.path), limits_of(params.validate)
    readable = readable_table(files, limits)
    tables = {"files": files, "readable": readable, "classes": class_table(readable, header)}
    asked = _asked(tables, suite(len(header.classes), limits), previous, params.validate)
    findings = run_expectations(tables, _KEYS, asked)
    report = report_of(params.data.path, header, files, tables["classes"], findings, previous)
    write_json(QUARANTINE, {"paths": [file["path"] for file in report["quarantined"]]}, {"manifest": MANIFEST})
    write_json(REPORT, report, {"manifest": MANIFEST})
    write_page(PAGE, report, Path(params.data.path), dict(zip(files["path"], files["sha256"], strict=True)))
    print(report["summary"])


@step
def record() -> None:
    """Record the stage as an MLflow run and as an artifact of the flow run, failed validations too."""
    from adapters.mlflow_runs import stage_run

    report = read_json(REPORT)
    drift = report["drift"] or {"columns": ()}
    with stage_run("validate") as run:
        run.params({f"validate.{key}": value for key, value in read_params().validate.model_dump().items()})
        run.metrics(report["counts"] | {"n_errors": report["n_errors"], "n_warnings": report["n_warnings"]})
        run.metrics({f"drift.{one['column']}": one["index"] for one in drift["columns"]})
        run.artifact(PAGE, "validate")
        run.artifact(REPORT, "validate")
    _show_in_prefect(as_markdown(report))


@step
def gate() -> None:
    """Stop the run when an expectation of the severity `error` failed.

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
    broken = [check for check in report["checks"] if not check["passed"] and check["severity"] == "error"]
    first, more = broken[0], f" ({len(broken) - 1} more failed)" if len(broken) > 1 else ""
    named = ", ".join(example["row"] for example in first["examples"][:_N_NAMED])
    named += ", ..." if first["n_unexpected"] > _N_NAMED else ""
    raise UserError(
        f"The data set {report['data_path']} failed validation{more}: expected that {first['says']}, but "
        f"{amount(first)}{f' ({named})' if named else ''}; "
        f"{first['remedy'].rstrip('.')}; the report is {kept.relative_to(Path.cwd())}."
    )


def _asked(
    tables: "Mapping[str, pd.DataFrame]",
    ours: Sequence[Expectation],
    previous: PreviousData | None,
    params: ValidateParams,
) -> tuple[Expectation, ...]:
    """Return what is asked: by us, by the user, by what is known of the earlier version; as severe as the user says."""
    earlier = {} if previous is None else previous.columns
    held = tables["readable"].notna().any()  # a column that is empty today has no distribution
    here = {name: profile for name, profile in earlier.items() if held.get(name, False)}
    of_drift = [f"stable_{name}" for name in (*NUMBERS, *NAMES)]  # asked or not: it depends on the data
    columns = {name: [str(column) for column in frame.columns] for name, frame in tables.items()}
    theirs = read_suites(columns, taken=[*(one.name for one in ours), *of_drift])
    asked = (*ours, *stability(here, params.max_drift, params.confidence), *theirs)
    return with_severities(asked, params.severities, of_drift)


def _show_in_prefect(text: str) -> None:
    """Leave the result as an artifact of the flow run; without one there is nothing to leave it with."""
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        return
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(text, key=ARTIFACT_KEY, description="What was expected of the data.")
