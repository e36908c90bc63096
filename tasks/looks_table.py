"""What the command about looks at test images prints."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from tasks.cli import console, say
from transfer.errors import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.sealed_labels import Look

_N_SHOWN = 12  # characters of a digest


def show_looks(*, verify: bool, as_json: bool) -> None:
    """Print every look at test labels: when, on whose account, at which images, about which model.

    Raises:
        UserError: the current directory is in no project.
        EnvironmentFault: the ledger is to be verified and is not as it was written.
    """
    from adapters import environment
    from adapters.project import enter_project
    from adapters.sealed_labels import cut_off, read_looks

    project = enter_project()
    environment.prepare(project)
    looks = read_looks(project)
    wrong = [*looks.problems, *(cut_off(project) if verify else ())]
    if as_json:
        print(json.dumps([asdict(line) for line in looks.lines], indent=2, ensure_ascii=False))
    else:
        _print(looks.lines)
    for sentence in wrong:
        say(f"{sentence}.")
    if wrong and verify:
        raise EnvironmentFault("The ledger of looks is not as it was written; compare it with a copy of yours.")

    if verify:
        say("The ledger of looks holds: every hash is that of its line, and MLflow knows of no look that is missing.")


def _print(lines: "Sequence[Look]") -> None:
    from rich.markup import escape
    from rich.table import Table

    if not lines:
        print("Nobody has looked at test labels yet.")
        return
    table = Table("when", "test set", "images", "model", "who", "why", box=None, pad_edge=False)
    for line in lines:
        place = f"{line.who}, {line.stage or 'outside of a stage'}"
        when = f"{line.time[:19].replace('T', ' ')} UTC"
        shown = (when, line.test_set[:_N_SHOWN], str(line.n_rows), line.model_sha256[:_N_SHOWN], place, line.why)
        table.add_row(*map(escape, shown))
    with console() as printed:
        printed.print(table)
    models, sets = {line.model_sha256 for line in lines if line.chosen}, {line.test_set for line in lines}
    numbers = ((len(lines), "look"), (len(models), "model"), (len(sets), "set"))
    looks, tested, places = (f"{number} {word}{'' if number == 1 else 's'}" for number, word in numbers)
    print(f"{looks}: {tested} at {places} of test images.")
