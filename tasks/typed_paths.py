"""Paths as a user types them: meant from the directory the user is in, stored relative to the project's root."""

import os
from pathlib import Path
from typing import Any

from transfer.backbones.reference import BackboneReference

DATA_PATH, CANDIDATES = "data.path", "select.candidates"


def from_project(key: str, value: Any, project: Path, typed_in: Path) -> Any:
    """Return a parameter's value with the paths in it as the project's root sees them; other parameters as they are."""
    if key == DATA_PATH:
        return _seen_from_project(value, project, typed_in)
    if key == CANDIDATES:
        return [_candidate(reference, project, typed_in) for reference in value]
    return value


def weights_path(reference: str) -> str | None:
    """Return the local weights file that a backbone reference names; None for an enum, `none` or the default.

    Raises:
        UserError: the text is no backbone reference.
    """
    return BackboneReference.parse(reference).weights_file


def record_key(reference: str) -> str | None:
    """Return what the sha256 of a candidate's weights is recorded under; None where nothing has to be recorded.

    Raises:
        UserError: the text is no backbone reference.
    """
    return BackboneReference.parse(reference).record_key


def _candidate(reference: str, project: Path, typed_in: Path) -> str:
    path = weights_path(reference)
    return reference if path is None else f"{reference.removesuffix(path)}{_seen_from_project(path, project, typed_in)}"


def _seen_from_project(text: str, project: Path, typed_in: Path) -> str:
    path = Path(text).expanduser() if text.startswith("~") else Path(text)
    if path.is_absolute():
        return str(path)
    if typed_in.resolve() == project.resolve() or not (typed_in / path).exists():
        return text
    return Path(os.path.relpath((typed_in / path).absolute(), project.resolve())).as_posix()
