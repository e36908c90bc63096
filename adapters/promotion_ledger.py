"""The ledger of promotions: a line a move of a champion, each with the hash of the line before; lines are only added.

A line is written in one go and flushed. What a killed process left of a line that it had not finished does not end in a
newline: it is no line, and the next one takes its place. Whoever changes a line later breaks its hash, and whoever
computes that anew breaks the line after it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from adapters.mlflow_store import STORE
from transfer.errors import EnvironmentFault

LEDGER = STORE / "promotions.jsonl"
_BEGINNING = "0" * 64


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
    path = project / LEDGER
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be read ({error.strerror}); check the file and run again.") from error
    *whole, rest = content.split(b"\n")
    lines: list[Line] = []
    problems: list[str] = []
    previous = _BEGINNING
    for number, raw in enumerate(whole, start=1):
        line, problem = _checked(raw, number, previous)
        if problem:
            problems.append(f"line {number} of {LEDGER} {problem}")
        if line is not None:
            lines.append(line)
        previous = line.hash if line is not None else hashlib.sha256(raw).hexdigest()
    return Ledger(tuple(lines), tuple(problems), bool(rest))


def append(project: Path, entry: Mapping[str, Any]) -> Line:
    """Add a line; the caller holds the lock of promotions.

    Args:
        project: the project's folder.
        entry: every field of `Line` but number, previous and hash.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    path = project / LEDGER
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a+b") as stream:
            stream.seek(0)
            content = stream.read()
            kept = content.rfind(b"\n") + 1
            if kept < len(content):  # what a killed process left of its line
                stream.truncate(kept)
            *whole, _ = content[:kept].split(b"\n")
            line = _next(whole, entry)
            os.write(stream.fileno(), _text(line))
            os.fsync(stream.fileno())
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be written ({error.strerror}); check the disk and run the same command again."
        ) from error
    return line


def _next(whole: list[bytes], entry: Mapping[str, Any]) -> Line:
    previous = _BEGINNING
    if whole:
        last, _ = _parsed(whole[-1])
        previous = last.hash if last is not None else hashlib.sha256(whole[-1]).hexdigest()
    unsigned = Line(**{**entry, "number": len(whole) + 1, "previous": previous, "hash": ""})
    return Line(**{**asdict(unsigned), "hash": _hash(unsigned)})


def _checked(raw: bytes, number: int, previous: str) -> tuple[Line | None, str]:
    """Return a line and what is wrong with it."""
    line, problem = _parsed(raw)
    if line is None:
        return None, problem
    if line.hash != _hash(line) or _text(line) != raw + b"\n":
        return line, "was altered: its hash is not that of its words"
    if line.number != number or line.previous != previous:
        return line, "does not follow the line before it: lines were altered, removed or put in"
    return line, ""


def _parsed(raw: bytes) -> tuple[Line | None, str]:
    try:
        values = json.loads(raw)
        return Line(**{field.name: values[field.name] for field in fields(Line)}), ""
    except (ValueError, KeyError, TypeError):
        return None, "is no line of the ledger"


def _text(line: Line) -> bytes:
    return (json.dumps(asdict(line), ensure_ascii=False, allow_nan=False) + "\n").encode()


def _hash(line: Line) -> str:
    """Return the sha256 of everything in a line but its own hash."""
    values = {name: value for name, value in asdict(line).items() if name != "hash"}
    return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
