"""What a climb up the ladder of mitigations came to: its record, and the record in words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.json_files import read_json
from adapters.model_files import WEIGHTS
from tasks.handoffs import MITIGATION, MODEL
from transfer.errors import RootstockError
from transfer.evaluation.mitigation import NOTHING

MADE_FROM = {"model": MODEL / WEIGHTS}


def climbed(project: Path) -> dict[str, Any] | None:
    """Return the record of the climb that led to the model of artifacts/; None where none did."""
    try:
        return read_json(project / MITIGATION, {name: project / path for name, path in MADE_FROM.items()})
    except RootstockError:
        return None


def sentence(record: Mapping[str, Any]) -> str:
    """Return what a climb came to, in words."""
    parts = "; ".join((f"as asked for {_figures(record['start'])}", *map(_said, record["tried"])))
    ending = (
        "None of them holds, so that the parameters of the lowest validation loss stand."
        if record["stands"] == NOTHING
        else f"What stands: {record['stands']}."
    )
    return f"The verdict was negative, so other parameters were tried. Accuracy on validation images: {parts}. {ending}"


def _said(one: Mapping[str, Any]) -> str:
    if "skipped" in one:
        return f"{one['rung']} skipped, {one['skipped']}"
    if "failed" in one:
        return f"{one['rung']} failed: {one['failed'].rstrip('.')}"
    return f"{one['rung']} ({one['says']}) {_figures(one)}"


def _figures(one: Mapping[str, Any]) -> str:
    beside = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in one["references"].items())
    return f"{one['accuracy']:.3f} (references: {beside})"
