"""A file of JSON lines that is only added to, each line with the hash of the line before.

A line is written in one go and flushed. What a killed process left of a line that it had not finished does not end in a
newline: it is no line, and the next one takes its place. Whoever changes a line later breaks its hash, and whoever
computes that anew breaks the line after it.
"""

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.errors import EnvironmentFault

NUMBER, PREVIOUS, HASH = "number", "previous", "hash"  # what every line has beside its own fields
_BEGINNING = "0" * 64


@dataclass(frozen=True, slots=True)
class Chain:
    """What a file holds.

    Args:
        lines: those that can be read, in order: field -> value.
        problems: a phrase for each line that is not as it was written, with its number from 1.
        half: whether the end of the file is a line that was never finished.
    """

    lines: tuple[Mapping[str, Any], ...]
    problems: tuple[tuple[int, str], ...]
    half: bool


def read_chain(path: Path, names: Collection[str]) -> Chain:
    """Read and verify a file; one that is not there is empty.

    Args:
        path: the file.
        names: fields that a line of it must have, and no others.

    Raises:
        EnvironmentFault: the file cannot be read.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be read ({error.strerror}); check the file and run again.") from error
    *whole, rest = content.split(b"\n")
    lines: list[Mapping[str, Any]] = []
    problems: list[tuple[int, str]] = []
    previous = _BEGINNING
    for number, raw in enumerate(whole, start=1):
        line = _parsed(raw, names)
        problem = "is no line of the ledger" if line is None else _fault(line, raw, number, previous)
        if problem:
            problems.append((number, problem))
        if line is not None:
            lines.append(line)
        previous = _digest(raw) if line is None else str(line[HASH])
    return Chain(tuple(lines), tuple(problems), bool(rest))


def append_line(path: Path, entry: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """Add a line; the caller holds a lock.

    Args:
        path: the file; its folder is made where it is missing.
        entry: every field of a line but number, previous and hash.
        names: as `read_chain` takes them, in the order in which they are written.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a+b") as stream:
            stream.seek(0)
            content = stream.read()
            kept = content.rfind(b"\n") + 1
            if kept < len(content):  # what a killed process left of its line
                stream.truncate(kept)
            *whole, _ = content[:kept].split(b"\n")
            line = _next(whole, entry, names)
            os.write(stream.fileno(), _text(line))
            os.fsync(stream.fileno())
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be written ({error.strerror}); check the disk and run the same command again."
        ) from error
    return line


def _next(whole: list[bytes], entry: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    previous = _BEGINNING
    if whole:
        last = _parsed(whole[-1], names)
        previous = _digest(whole[-1]) if last is None else str(last[HASH])
    values = {**entry, NUMBER: len(whole) + 1, PREVIOUS: previous, HASH: ""}
    ordered = {name: values[name] for name in names}
    return {**ordered, HASH: _hash(ordered)}


def _parsed(raw: bytes, names: Collection[str]) -> Mapping[str, Any] | None:
    try:
        values = json.loads(raw)
        return {name: values[name] for name in names}
    except (ValueError, KeyError, TypeError):
        return None


def _fault(line: Mapping[str, Any], raw: bytes, number: int, previous: str) -> str:
    """Return what is wrong with a line, a phrase; "" where nothing is."""
    if line[HASH] != _hash(line) or _text(line) != raw + b"\n":
        return "was altered: its hash is not that of its words"
    if line[NUMBER] != number or line[PREVIOUS] != previous:
        return "does not follow the line before it: lines were altered, removed or put in"
    return ""


def _text(line: Mapping[str, Any]) -> bytes:
    return (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _hash(line: Mapping[str, Any]) -> str:
    """Return the sha256 of everything in a line but its own hash."""
    values = {name: value for name, value in line.items() if name != HASH}
    return _digest(json.dumps(values, sort_keys=True, ensure_ascii=False).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
