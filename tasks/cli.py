"""What the command line shows: one sentence for every failure, tables for results."""

import contextlib
import errno
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfer.errors import RootstockError, UserError

if TYPE_CHECKING:
    from tasks.doctor import Finding

INTERRUPTED = 130
_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "bad": "[red]fails[/]"}
_SHOWN_CLASSES = 3


def version() -> str:
    """Return the version of the installed package."""
    return metadata.version("rootstock")


def ending_of(command: Callable[..., Any]) -> int:
    """Run a command line and return its exit code; every failure has become one sentence on standard error.

    Args:
        command: a typer application.

    Returns:
        0; 2 for the user's mistake; 130 for Ctrl-C; 1 otherwise.
    """
    import typer

    try:
        outcome = command(standalone_mode=False)
    except typer.Exit as end:
        return int(end.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        outcome = INTERRUPTED
    except RootstockError as error:
        say(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the process boundary: everything becomes a sentence and an exit code
        if hasattr(error, "show") and hasattr(
            error, "exit_code"
        ):  # a usage error, of typer's own copy of click or of click
            error.show()
            return int(error.exit_code)
        say(_unexpected(error))
        return 1
    if outcome == INTERRUPTED:  # typer turns Ctrl-C into this number and says nothing
        say("Interrupted; run the same command again to go on.")
    return outcome if isinstance(outcome, int) else 0


def say(sentence: str) -> None:
    """Print one sentence on standard error; a reader that went away is no reason for a second failure."""
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)


def predict(model_uri: str, paths: Sequence[Path], *, as_json: bool) -> None:
    """Classify images and print a table or JSON.

    Raises:
        UserError: no such path, no image, no such model; or some images are unreadable, after the others were printed
            and each of these was named on standard error.
    """
    from tasks.predict import classify

    predictions, unreadable = classify(model_uri, paths)
    if as_json:
        print(
            json.dumps(
                [{"path": p.path, "class": p.class_name, "probabilities": p.probabilities} for p in predictions],
                indent=2,
            )
        )
    else:
        _print_predictions(predictions)
    for sentence in unreadable:
        say(sentence)
    if unreadable:
        n_files = len(unreadable) + len(predictions)
        raise UserError(f"{len(unreadable)} of {n_files} files are no readable images; name images only.")


def show_diagnosis(findings: Sequence["Finding"]) -> int:
    """Print what the doctor found as a table; return the exit code."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "what", "found", "what to do", title="rootstock doctor", title_justify="left")
    for finding in findings:
        table.add_row(_MARKS[finding.verdict], escape(finding.what), escape(finding.found), escape(finding.remedy))
    with console() as shown:
        shown.print(table)
    return int(any(finding.verdict == "bad" for finding in findings))


def _print_predictions(predictions: Sequence[Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("image", "class", "probability", "next", box=None, pad_edge=False)
    for prediction in predictions:
        ranked = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])[:_SHOWN_CLASSES]
        others = ", ".join(f"{name} {share:.3f}" for name, share in ranked[1:])
        table.add_row(escape(prediction.path), escape(prediction.class_name), f"{ranked[0][1]:.3f}", escape(others))
    with console() as shown:
        shown.print(table)


@contextlib.contextmanager
def console() -> Iterator[Any]:
    """Yield a console on standard output; a pipe gets whole lines instead of ones cut at 80 columns."""
    from rich.console import Console

    yield Console(width=None if sys.stdout.isatty() else 200)


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full; free some space and run the same command again."
    where = _traceback_file()
    text = " ".join(str(error).split()) or "no message"
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return f"Unexpected {type(error).__name__}: {text}."
    return f"Unexpected {type(error).__name__}: {text}; the traceback is in {where}, please report it."


def _traceback_file() -> Path:
    import tempfile

    from adapters.project import STATE_FOLDER, find_project

    try:
        return find_project() / STATE_FOLDER / "logs" / "rootstock.traceback"
    except (UserError, OSError):
        return Path(tempfile.gettempdir()) / "rootstock.traceback"
