"""What `rootstock reproduce` prints."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tasks.cli import console, say
from tasks.reproduce import Reproduction, reproduce
from tasks.reproduce_compare import DIFFERENT, IDENTICAL, Stage

_NAMED = 5


def show_reproduction(target: str, into: Path | None, *, keep: bool, tolerance: float, as_json: bool) -> int:
    """Make a model again and print what came out; return the exit code: 1 where it is different.

    Raises:
        UserError: there is no such version, or what made it cannot be brought back.
        EnvironmentFault: git, DVC or a stage failed.
    """
    found = reproduce(target, say, into=into, keep=keep, tolerance=tolerance)
    outcome = found.comparison.outcome
    if as_json:
        print(json.dumps(_plain(found), indent=2, ensure_ascii=False))
    else:
        _print(found)
    return int(outcome == DIFFERENT)


def sentence_of(found: Reproduction) -> str:
    """Return what came out, in words."""
    comparison, total_s = found.comparison, sum(found.seconds.values())
    n_outs = sum(stage.n_outs for stage in comparison.stages)
    took = f"{total_s:.0f} s"
    if comparison.outcome == IDENTICAL:
        return f"Identical: {found.version} was made again, all {n_outs} outputs byte for byte ({took})."
    agreement, first = comparison.agreement, comparison.first
    far = "the predictions cannot be compared"
    if agreement is not None:
        far = (
            f"{agreement.n_other_class} of {agreement.n_rows} test images get another class, and the probability of "
            f"the predicted one differs by {agreement.largest:.2g} at most (tolerance {comparison.tolerance:g})"
        )
    where = (
        "" if first is None else f" It diverges first at {first.name}, {_few(first.differing)}: {_why(found, first)}."
    )
    return f"{comparison.outcome.capitalize()}: {far} ({took}).{where}"


def _why(found: Reproduction, stage: Stage) -> str:
    if stage.causes:
        return f"what differs there is {_few(stage.causes)}"
    if found.moved:
        return f"code, parameters and data are the recorded ones, what they run on is not: {_few(found.moved)}"
    return "code, parameters, data, packages and machine are the recorded ones, so it is chance"


def _few(phrases: tuple[str, ...]) -> str:
    more = f" and {len(phrases) - _NAMED} more" if len(phrases) > _NAMED else ""
    return f"{', '.join(phrases[:_NAMED])}{more}"


def _plain(found: Reproduction) -> dict[str, object]:
    first = found.comparison.first
    return {
        "model": found.version.name,
        "version": found.version.number,
        "outcome": found.comparison.outcome,
        "sentence": sentence_of(found),
        "first": None if first is None else first.name,
        "stages": [asdict(stage) for stage in found.comparison.stages],
        "agreement": None if found.comparison.agreement is None else asdict(found.comparison.agreement),
        "moved": list(found.moved),
        "changed_code": list(found.strange),
        "seconds": found.seconds,
        "copy": None if found.copy is None else str(found.copy),
    }


def _print(found: Reproduction) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("stage", "outputs", "seconds", "differ", box=None, pad_edge=False)
    for row in _rows(found):
        table.add_row(*map(escape, row))
    with console() as shown:
        shown.print(table)
    print(sentence_of(found))
    if found.copy is not None:
        print(f"The working copy is {found.copy}.")


def _rows(found: Reproduction) -> Iterator[tuple[str, ...]]:
    for stage in found.comparison.stages:
        differ = _few(stage.differing) or "none"
        yield stage.name, str(stage.n_outs), f"{found.seconds.get(stage.name, 0):.1f}", differ
