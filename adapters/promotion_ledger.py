"""The ledger of promotions: a line a move of a champion, chained by hash; see `adapters.chained_lines`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adapters.chained_lines import append_line, read_chain
from adapters.mlflow_store import STORE

LEDGER = STORE / "promotions.jsonl"


@dataclass(frozen=True, slots=True)
class Line:
    """A move of a champion.

    Args:
        number: from 1.
        time: when, ISO 8601 in UTC.
        who: the account of the machine that did it.
        by: gate, promote, rollback, repair, or outside where it was done without Rootstock and noticed.
        model: name of the registered model.
        before: version that was the champion; None where there was none.
        after: version that is the champion from then on; None where there is none.
        model_sha256: of the weights of the version after; "" where there is none.
        why: in words.
        forced: whether a person overruled the gate.
        decision: what the gate had said of that version; None where it had said nothing.
        previous: hash of the line before.
        hash: sha256 of all this.
    """

    number: int
    time: str
    who: str
    by: str
    model: str
    before: str | None
    after: str | None
    model_sha256: str
    why: str
    forced: bool
    decision: Mapping[str, Any] | None
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the file holds.

    Args:
        lines: those that can be read, in order.
        problems: a sentence for each line that is not as it was written.
        half: whether the end of the file is a line that was never finished.
    """

    lines: tuple[Line, ...]
    problems: tuple[str, ...]
    half: bool

    def of(self, model: str) -> tuple[Line, ...]:
        """Return the lines of one model."""
        return tuple(line for line in self.lines if line.model == model)


def read_ledger(project: Path) -> Ledger:
    """Read and verify the ledger; one that is not there is empty.

    Raises:
        EnvironmentFault: the file cannot be read.
    """
    chain = read_chain(project / LEDGER, _names())
    problems = tuple(f"line {number} of {LEDGER} {problem}" for number, problem in chain.problems)
    return Ledger(tuple(Line(**line) for line in chain.lines), problems, chain.half)


def append(project: Path, entry: Mapping[str, Any]) -> Line:
    """Add a line; the caller holds the lock of promotions.

    Args:
        project: the project's folder.
        entry: every field of `Line` but number, previous and hash.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    return Line(**append_line(project / LEDGER, entry, _names()))


def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Line))
