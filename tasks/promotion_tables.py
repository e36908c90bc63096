"""What the commands about champions print."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tasks.cli import console, say
from transfer.errors import EnvironmentFault

if TYPE_CHECKING:
    from adapters.promotion_ledger import Line


def show_champions(model: str | None, at: str | None, *, verify: bool, as_json: bool) -> None:
    """Print who was champion when, on whose word and why.

    Raises:
        UserError: there is no such model, or the time cannot be read.
        EnvironmentFault: the ledger is to be verified and is not as it was written.
    """
    from tasks import promotion

    wrong = promotion.verify(thoroughly=verify)  # before anything is added to the ledger
    lines = promotion.history(model, at)
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2, ensure_ascii=False))
    else:
        _print(lines, f"{model} had no champion then." if model else "No model has had a champion.")
    for sentence in wrong:
        say(f"{sentence}.")
    if wrong and verify:
        raise EnvironmentFault("The ledger is not as it was written; compare it with a copy of yours.")
    if verify:
        shown = f"{len(lines)} line{'' if len(lines) == 1 else 's'} shown"
        say(f"The ledger holds: {shown}, every hash is that of its line.")


def promote(target: str, why: str, *, force: bool) -> None:
    """Promote a version and print what was done."""
    from tasks import promotion

    print(f"{promotion.promote(target, why, force=force)}.")
    if promotion.release(target, why):
        print("The run that waited for this goes on, and finds it done.")


def rollback(model: str, why: str) -> None:
    """Roll a champion back and print what was done."""
    from tasks import promotion

    print(f"{promotion.rollback(model, why)}.")


def _print(lines: "Sequence[Line]", none: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    if not lines:
        print(none)
        return
    table = Table("since", "champion", "before", "by", "who", "why", box=None, pad_edge=False)
    for line in lines:
        by = f"{line.by}, forced" if line.forced else line.by
        now, before = (f"{line.model}/{version}" if version else "none" for version in (line.after, line.before))
        since = f"{line.time[:19].replace('T', ' ')} UTC"
        table.add_row(since, escape(now), escape(before), by, escape(line.who), escape(line.why))
    with console() as shown:
        shown.print(table)
