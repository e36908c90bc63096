"""What `rootstock lineage` prints."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.promotions import GATE_TAG
from adapters.version_records import Version
from tasks.cli import console
from tasks.lineage import MadeFrom, lineage_of
from tasks.lineage_facts import Fact

UNKNOWN = "not recorded"
_MOST_ROWS = 50
_COUNTED = ("values", "packages")  # too long for a row: the number of them, and JSON has them all
_TIMES = ("champion since", "registered")


def show_lineage(target: str, *, as_json: bool) -> None:
    """Print what a version was made from, or which versions were made from a data set.

    Raises:
        UserError: there is no such version, data set or revision.
        EnvironmentFault: the store cannot be read.
    """
    found = lineage_of(target)
    if as_json:
        plain = _plain_versions(found) if isinstance(found, MadeFrom) else _plain_facts(found)
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    elif isinstance(found, MadeFrom):
        _print_versions(found)
    else:
        _print_facts(found)


def _plain_facts(facts: Sequence[Fact]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {}
    for fact in facts:
        named = fact.label.replace(" ", "_")
        parts.setdefault(fact.part, {})[named] = fact.value
        if fact.note:
            parts[fact.part][f"{named}_note"] = fact.note
    return parts


def _plain_versions(found: MadeFrom) -> dict[str, Any]:
    versions = [
        {"model": one.name, "version": one.number, "aliases": list(one.aliases), **_said(one)} for one in found.versions
    ]
    return {"data": found.path, "digest": found.digest, "source": found.source, "versions": versions}


def _said(version: Version) -> dict[str, str | None]:
    named = {"accuracy": "accuracy", "verdict": "verdict_kind", "gate": GATE_TAG, "backbone": "backbone"}
    return {label: version.tags.get(tag) for label, tag in named.items()}


def _print_facts(facts: Sequence[Fact]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")  # no digest and no path is cut
    before = ""
    for fact in facts:
        part, before = ("" if fact.part == before else fact.part), fact.part
        table.add_row(f"[bold]{part}[/]", fact.label, escape(_text(fact)))
    with console() as shown:
        shown.print(table)


def _text(fact: Fact) -> str:
    value, text = fact.value, UNKNOWN
    if fact.label in _COUNTED and isinstance(value, Mapping):
        text = f"{value.get('number', len(value))}, which --json lists"
    elif isinstance(value, Mapping):
        between = "\n" if fact.part == "runs" else ", "
        text = between.join(f"{name} {inner}" for name, inner in value.items())
    elif isinstance(value, list):
        text = "; ".join(map(_line, value)) or "none"
    elif value is not None:
        text = _moment(value) if fact.label in _TIMES else str(value)
    return f"{text} ({fact.note})" if fact.note else text


def _line(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return str(entry)
    moved = f"version {entry['from']} -> version {entry['to']}" if entry["from"] else f"version {entry['to']}"
    return f"{_moment(entry['time'])} {moved} by {entry['by']}: {entry['why']}"


def _moment(iso: str) -> str:
    return f"{iso[:19].replace('T', ' ')} UTC"


def _print_versions(found: MadeFrom) -> None:
    from rich.markup import escape
    from rich.table import Table

    print(f"{found.path} was {found.digest} ({found.source}).")
    if not found.versions:
        print("No registered model was made from it.")
        return
    table = Table("model", "aliases", "accuracy", "verdict", "gate", "backbone", box=None, pad_edge=False)
    for one in found.versions[:_MOST_ROWS]:
        said = (escape(text or UNKNOWN) for text in _said(one).values())
        table.add_row(escape(f"{one.name}/{one.number}"), escape(", ".join(one.aliases)), *said)
    with console() as shown:
        shown.print(table)
    left = len(found.versions) - _MOST_ROWS
    if left > 0:
        print(f"and {left} more, which --json lists.")
