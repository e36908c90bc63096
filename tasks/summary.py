"""What a person reads at the end of a run: what was checked, which backbone won, how good it is, where it is."""

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_json, read_plain_json
from adapters.mlflow_aliases import MODEL_TAG, aliased
from adapters.promotions import CHALLENGER, CHAMPION
from tasks import data_source
from tasks.handoffs import LOOKS, METRICS, RANKING, REGISTRATION, REPORT, REPORT_PAGE, VERDICT
from tasks.mitigation_record import climbed, sentence
from tasks.params import read_params
from transfer.evaluation.promotion import ASK

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_N_NAMED = 3
_BALANCED = {"balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
_WIDTH = 100  # of the table where the output is no terminal


def show(project: Path, outcome: Mapping[str, Any]) -> None:
    """Print the table of a finished run and what to do next."""
    from rich.markup import escape

    console = _console()
    table = _table(f"rootstock · {escape(_model_name(project))}")
    for what, text in facts(project):
        table.add_row(what, escape(text))
    table.add_row("Time", _times(outcome["stages"]))
    table.add_row("Report", str(REPORT_PAGE))
    console.print(table)
    _close(console, project, outcome["mended"], outcome["notice"])


def show_unchanged(project: Path, mended: str, notice: str | None = None) -> None:
    """Print that there was nothing to do, and what stands."""
    console = _console()
    metrics = read_plain_json(project / METRICS)
    console.print(
        f"Everything is up to date: 0 stages ran. {_model_uri(project)} has test accuracy {_accuracy(metrics)}.",
        soft_wrap=True,
        markup=False,
    )
    _close(console, project, mended, notice)


def facts(project: Path) -> Iterator[tuple[str, str]]:
    """Yield what happened, a line each, read from artifacts."""
    report = read_json(project / REPORT)
    ranking = read_json(project / RANKING)
    metrics, verdict = read_plain_json(project / METRICS), read_json(project / VERDICT)
    registration = read_json(project / REGISTRATION)
    yield "Data", f"{read_params(project / 'params.yaml').data.path}: {report['summary']}{_left_out(report)}"
    yield "Backbone", ranking["why"]
    balanced = ", ".join(f"{what} {metrics[key]:.3f}" for key, what in _BALANCED.items())
    yield "Accuracy", f"{_accuracy(metrics)} on {metrics['n_test']} test images, {balanced}"
    yield from _references(metrics, verdict["comparisons"])
    yield "Verdict", " ".join([verdict["sentence"], *verdict.get("caveats", ()), *verdict.get("early_warnings", ())])
    yield from _where_and_what(metrics, verdict)
    looks = read_json(project / LOOKS)
    if looks["n_models"] > 1:
        yield "Test images", looks["sentence"]
    record = climbed(project)
    if record is not None:
        yield "Mitigation", sentence(record)
    yield "Promotion", registration["promotion"]["sentence"]
    yield "Model", f"{registration['name']} version {_version(project, registration)}, {_model_uri(project)}"


def _left_out(report: Mapping[str, Any]) -> str:
    """Name the files that could not be read, so that somebody can mend them."""
    files = report["quarantined"]
    named = "; ".join(f"{file['path']}: {file['problem']}" for file in files[:_N_NAMED])
    more = f"; and {len(files) - _N_NAMED} more in the report" if len(files) > _N_NAMED else ""
    return f" Left out: {named}{more}" if files else ""


def _references(metrics: Mapping[str, Any], comparisons: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what it surely beat, and what it was only compared with."""
    beaten: list[str] = []
    others: list[str] = []
    for key, name in (("scratch", "from scratch"), ("random_frozen", "random frozen features")):
        accuracy, low, high = (metrics[f"{key}_accuracy{suffix}"] for suffix in ("", "_low", "_high"))
        gain, least, most = (100 * metrics[f"{key}_gain{suffix}"] for suffix in ("", "_low", "_high"))
        points = f"{gain:+.1f} points ({least:+.1f} to {most:+.1f})"
        (beaten if comparisons[key]["better"] else others).append(
            f"{name} {accuracy:.3f} ({low:.3f} to {high:.3f}), {points}"
        )
    for what, parts in (("It beat", beaten), ("Compared with", others)):
        if parts:
            yield what, f"{'; '.join(parts)} — {metrics['references']}"


def _where_and_what(metrics: Mapping[str, Any], verdict: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what each part of the work gave, and where the model does worst, as far as that is known."""
    parts = " ".join(verdict.get("parts", {}).values())
    if parts:
        yield "Parts", parts
    if "lac_coverage" in metrics:
        value, low, high = (metrics[f"lac_coverage{suffix}"] for suffix in ("", "_low", "_high"))
        yield "Sets of classes", f"hold the right one in {value:.3f} ({low:.3f} to {high:.3f}) of the test images"
    if "worst_slice" in metrics:
        value, low, high = (metrics[f"worst_slice_accuracy{suffix}"] for suffix in ("", "_low", "_high"))
        yield (
            "Worst slice",
            f"{metrics['worst_slice']}: {value:.3f} ({low:.3f} to {high:.3f}) on {metrics['worst_slice_n']} images",
        )


def _times(stages: Sequence[Mapping[str, Any]]) -> str:
    total, steps = sum(stage["seconds"] for stage in stages), sum(stage["compute_s"] for stage in stages)
    spent = f"{total:.0f} s in all, {steps:.0f} s of it inside the stages' steps"
    return f"{', '.join(_time(stage) for stage in stages)}; {spent}"


def _time(stage: Mapping[str, Any]) -> str:
    if stage["ran"]:
        return f"{stage['stage']} {stage['seconds']:.1f} s"
    return f"{stage['stage']} {'restored' if stage['seconds'] else 'unchanged'}"


def _accuracy(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['accuracy']:.3f} ({metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f})"


def _version(project: Path, registration: Mapping[str, Any]) -> str:
    """Return the version that the alias names now; a mended registry may have given the model another number."""
    found = aliased(project, registration["name"], registration["alias"])
    return found.version if found is not None else str(registration["model_version"])


def _model_name(project: Path) -> str:
    return str(read_json(project / REGISTRATION)["name"])


def _model_uri(project: Path) -> str:
    registration = read_json(project / REGISTRATION)
    return f"models:/{registration['name']}@{_alias(project, registration)}"


def _alias(project: Path, registration: Mapping[str, Any]) -> str:
    """Return champion where the model is the champion, else the alias that it was registered with."""
    found = aliased(project, registration["name"], CHAMPION)
    is_champion = found is not None and found.tags.get(MODEL_TAG) == registration[MODEL_TAG]
    return CHAMPION if is_champion else str(registration["alias"])


def _close(console: "Console", project: Path, mended: str, notice: str | None) -> None:
    from rich.markup import escape

    if notice:
        console.print(f"Note: {notice}", soft_wrap=True, markup=False)
    if mended:
        console.print(f"Mended: {mended}.", soft_wrap=True, markup=False)
    program = ".venv/bin/rootstock" if shutil.which("rootstock") is None else "rootstock"
    data_path = read_params(project / "params.yaml").data.path
    predict = (program, "predict", _model_uri(project), data_path)
    own = (f"{program} run data.path=data/photos", "your own class folders, once they are in data/photos")
    review = (f"{program} data review", "which labels look wrong, on a page to decide on")
    console.print("\nNext:")
    for command, why in (
        *_open_promotion(project, program),
        ("make ui", "Prefect, MLflow and the nightly schedule in the browser"),
        (shlex.join(predict), "classify images with the registered model"),
        own if data_source.is_stage_output(project, data_path) else review,
    ):
        console.print(f"  {escape(command)}   [dim]{why}[/]", soft_wrap=True)


def _open_promotion(project: Path, program: str) -> Iterator[tuple[str, str]]:
    """Yield what a person may do about a model that the gate left to one."""
    registration = read_json(project / REGISTRATION)
    if registration["promotion"]["outcome"] == ASK and _alias(project, registration) != CHAMPION:
        target = shlex.quote(f"{registration['name']}@{CHALLENGER}")
        yield f"{program} promote {target} --why REASON", "make it the champion, if you think so"


def _table(title: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAVY, show_header=False, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)
