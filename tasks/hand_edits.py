"""Never overwrite a value that somebody wrote into params.yaml by hand and has not run yet."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters import dvc_lock, git_commands, params_file
from adapters.json_files import write_plain_json
from adapters.project import STATE_FOLDER
from tasks.params import PARAMS_FILE, Params, flatten
from tasks.params_sentences import shown
from transfer.errors import UserError

WRITTEN_FILE = Path(STATE_FOLDER) / "written.json"  # what rootstock itself wrote, by key, and over which values


def refuse_loss(project: Path, before: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """Refuse overrides that would replace a hand edit.

    A value counts as a hand edit when it is neither what a stage last ran with, nor what rootstock wrote since, nor
    what the override says.

    Args:
        project: the project's root.
        before: the file's content, block -> key -> value.
        chosen: dotted key -> the value to write.

    Raises:
        UserError: the first key whose value would be lost.
    """
    now = dotted(before)
    suspects = {key: now[key] for key in chosen if key in now and now[key] != chosen[key]}
    if not suspects:
        return
    ran = _ran_with(project)
    written, known = _written(project, ran), _known_values(project, suspects, ran)
    for key, value in suspects.items():
        if value in known[key] or (key in written and written[key]["value"] == value):
            continue
        earlier = shown(known[key][0])
        raise UserError(
            f"{PARAMS_FILE} has {key}: {shown(value)}, edited by hand and not yet run (it was {earlier} before); "
            f"run it first with `rootstock run`, or set it back to {earlier}, before {key}={_typed(chosen[key])}."
        )


def note_written(project: Path, values: Mapping[str, Any]) -> None:
    """Remember what rootstock wrote and no stage ran with yet, so that a later override may replace it.

    Args:
        project: the project's root; what its file no longer says, or dvc.lock has recorded, is forgotten.
        values: dotted key -> the value just written.
    """
    now, ran, before = dotted(params_file.read(project / PARAMS_FILE)), _ran_with(project), _notes(project)
    kept = {
        key: note
        for key, note in _written(project, ran).items()
        if key in now and now[key] == note["value"] and any(value != note["value"] for value in ran.get(key, [None]))
    }
    notes = kept | {key: {"value": value, "over": ran.get(key, [])} for key, value in values.items()}
    if notes != before:
        write_plain_json(project / WRITTEN_FILE, notes)


def dotted(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a parameter file (block -> key -> value) under dotted keys; dotted ones stay as they are."""
    values: dict[str, Any] = {}
    for block, fields in nested.items():
        within = isinstance(fields, Mapping)
        values |= {f"{block}.{key}": value for key, value in fields.items()} if within else {block: fields}
    return values


def _known_values(project: Path, suspects: Mapping[str, Any], ran: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return for each key the values its stages last ran with; before any run, the committed one, else the default."""
    known = dict(ran)
    unseen = [key for key in suspects if key not in ran]
    if unseen:
        text = git_commands.committed(project, PARAMS_FILE)
        committed = dotted(params_file.parse(text, f"the committed {PARAMS_FILE}")) if text else {}
        defaults = flatten(Params())
        for key in unseen:
            known[key] = [committed[key] if key in committed else defaults[key]]
    return known


def _ran_with(project: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for stage in dvc_lock.recorded(project).values():
        for key, value in dotted(stage.get("params", {}).get(PARAMS_FILE, {})).items():
            found.setdefault(key, []).append(value)
    return found


def _written(project: Path, ran: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return the notes that still hold: once a stage ran with another value, the written one is history."""
    return {
        key: note
        for key, note in _notes(project).items()
        if all(value == note["value"] or value in note["over"] for value in ran.get(key, ()))
    }


def _notes(project: Path) -> dict[str, Any]:
    try:
        content = json.loads((project / WRITTEN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    notes = content.items() if isinstance(content, dict) else ()
    return {key: note for key, note in notes if isinstance(note, dict) and note.keys() == {"value", "over"}}


def _typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "null" if value is None else str(value)
