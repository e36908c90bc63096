"""The stage `report`: one page, a model card and a short summary, from what the other stages handed on."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.final_report import write_report
from adapters.json_files import write_text
from adapters.mlflow_aliases import MODEL_TAG, aliased
from tasks import report_making as making
from tasks import report_result as result
from tasks.handoffs import CARD_TEXT, REPORT_PAGE, SUMMARY
from tasks.model_card import Card, as_markdown, escaped, model_card, plain, unsaid
from tasks.report_examples import examples
from tasks.report_origin import lineage
from tasks.report_records import Records, read_records
from tasks.report_words import helped, in_points, interval, reference_named, served, three, with_range
from tasks.step import step

ARTIFACT_KEY = "report"
_SHOWN = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "ece",
    "nll",
    "lac_coverage",
    "scratch_gain",
    "random_frozen_gain",
)


@step
def write() -> None:
    """Write the page, the model card and the summary.

    Raises:
        UserError: a record is missing, or belongs to another run than the others.
    """
    project = Path.cwd()
    records, written = read_records(project), time.strftime("%Y-%m-%d", time.gmtime())
    card = model_card(records, written)
    write_report(REPORT_PAGE, page_content(records, card, project, written))
    write_text(CARD_TEXT, as_markdown(card, records.model))
    write_text(SUMMARY, summary(records, card))
    print(f"The report is {REPORT_PAGE}.")


@step
def record() -> None:
    """Record the stage as an MLflow run, give the model's version its card, show the summary in Prefect."""
    from adapters.mlflow_runs import stage_run

    project = Path.cwd()
    records, text = read_records(project), CARD_TEXT.read_text(encoding="utf-8")
    name, version = records.registration["name"], records.registration["model_version"]
    with stage_run("report") as run:
        run.params({f"report.{key}": value for key, value in records.params.report.model_dump().items()})
        run.metrics(_figures(records.metrics))
        run.tags({"verdict.word": helped(records)["word"], "gate": records.registration["promotion"]["outcome"]})
        run.tags({"model_version": f"{name}/{version}", "model_sha256": records.registration["model_sha256"]})
        for path in (REPORT_PAGE, CARD_TEXT, SUMMARY):
            run.artifact(path, "report")
    _describe(project, records.registration, text)
    _show_in_prefect(SUMMARY.read_text(encoding="utf-8"))


def page_content(records: Records, card: Card, project: Path, written: str) -> dict[str, Any]:
    """Return everything that the page's template shows.

    Args:
        records: what the stages left.
        card: the model card.
        project: the project's folder.
        written: the day, as text.
    """
    transfer, gate = helped(records), served(records)
    data = making.data(records)
    decisions = [
        {**transfer, "ask": "Did the transfer help?", "reasons": (), "command": ""},
        {**gate, "ask": "May it be served?"},
    ]
    return {
        "title": records.params.report.title or records.model,
        "subtitle": f"Image classifier of {records.params.data.path}, {written}",
        "decisions": decisions,
        "tiles": result.tiles(records),
        "confidence": records.confidence,
        "looks": records.looks["sentence"],
        "warnings": result.warnings(records),
        "gains": result.gains(records),
        "data": data,
        "data_tiles": _data_tiles(data),
        "choice": making.choice(records),
        "training": making.training(records),
        "answers": result.answers(records),
        "sureness": result.sureness(records),
        "slices": result.slices(records),
        "examples": examples(records.explanations, project),
        "cost": making.cost(records),
        "lineage": lineage(records),
        "card": plain(card),
        "written": written,
    }


def summary(records: Records, card: Card) -> str:
    """Return the report in a few lines of Markdown."""
    metrics, verdict, gate = records.metrics, helped(records), served(records)
    gains = [
        f"| over the {reference_named(name)} | {in_points(*three(one['gain']))} |"
        for name, one in records.verdict["comparisons"].items()
    ]
    lines = [
        f"# {escaped(records.params.report.title or records.model)}",
        f"**Did the transfer help?** {verdict['headline']}. {escaped(verdict['sentence'])}",
        f"**May it be served?** {gate['headline']}. {escaped(gate['sentence'])}",
        _in_short(metrics),
        "\n".join(("| gain, points of accuracy | |", "|---|---|", *gains)),
        *(f"- {escaped(warning)}" for warning in result.warnings(records)),
        escaped(records.looks["sentence"]),
    ]
    missing = unsaid(card)
    if missing:
        lines.append(f"The model card lacks what only its owner can say: {', '.join(map(_code, missing))}.")
    return "\n\n".join([*lines, f"The whole report: `{REPORT_PAGE}`"]) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _in_short(metrics: Mapping[str, Any]) -> str:
    return (
        f"Test accuracy **{with_range(*interval(metrics, 'accuracy'))}** on {metrics['n_test']} images, balanced "
        f"{metrics['balanced_accuracy']:.3f}, calibration error {metrics['ece']:.3f} (of a calibrated model below "
        f"{metrics['ece_if_calibrated']:.3f})."
    )


def _data_tiles(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = data["counts"]
    held = data["n_checks"] - len(data["failed"])
    return [
        ("Expectations held", f"{held} of {data['n_checks']}"),
        ("Images", f"{counts['n_readable']:,}"),
        ("Classes", f"{counts['n_classes']:,}"),
        ("Quarantined", f"{counts['n_quarantined']:,}"),
    ]


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    names = [f"{name}{bound}" for name in _SHOWN for bound in ("", "_low", "_high")]
    return {name: metrics[name] for name in (*names, "ece_if_calibrated", "n_test") if name in metrics}


def _describe(project: Path, registration: Mapping[str, Any], text: str) -> None:
    """Give the version that holds the model its card; a registry that lost it gets it back at the end of a run."""
    from adapters.mlflow_registry import describe_version

    found = aliased(project, registration["name"], registration["alias"])
    if found is not None and found.tags.get(MODEL_TAG) == registration[MODEL_TAG]:
        describe_version(project, registration["name"], found.version, text)


def _show_in_prefect(text: str) -> None:
    """Leave the summary as an artifact of the flow run; without one there is nothing to leave it with."""
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        return
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(text, key=ARTIFACT_KEY, description="What the run came to.")
