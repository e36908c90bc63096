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

WRITTEN_FILE = Path(STATE_FOLDER) / "written.json"  # what rootstock itself last wrote for each key


def refuse_loss(project: Path, before: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """Refuse overrides that would replace a hand edit.

    A value counts as a hand edit when it is neither what a stage last ran with, nor what rootstock wrote, nor what the
    override says.

    Args:
        project: the project's root.
        before: the file's content, block -> key -> value.
        chosen: dotted key -> the value to write.

    Raises:
        UserError: the first key whose value would be lost.
    """
    suspects = {key: _at(before, key) for key in chosen if _has(before, key) and _at(before, key) != chosen[key]}
    if not suspects:
        return
    written, known = _written(project), _known_values(project, suspects)
    for key, value in suspects.items():
        if value in known[key] or (key in written and written[key] == value):
            continue
        ran = shown(known[key][0])
        raise UserError(
            f"{PARAMS_FILE} has {key}: {shown(value)}, edited by hand and not yet run (it was {ran} before); "
            f"run it first with `rootstock run`, or set it back to {ran}, before {key}={_typed(chosen[key])}."
        )


def note_written(project: Path, values: Mapping[str, Any]) -> None:
    """Remember what rootstock wrote, so that a later override may replace it."""
    write_plain_json(project / WRITTEN_FILE, {**_written(project), **values})


def _known_values(project: Path, suspects: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return for each key the values its stages last ran with; before any run, the committed one, else the default."""
    ran = _ran_with(project)
    unseen = [key for key in suspects if key not in ran]
    if unseen:
        text = git_commands.committed(project, PARAMS_FILE)
        committed = params_file.parse(text, f"the committed {PARAMS_FILE}") if text else {}
        defaults = flatten(Params())
        for key in unseen:
            ran[key] = [_at(committed, key) if _has(committed, key) else defaults[key]]
    return ran


def _ran_with(project: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for stage in dvc_lock.recorded(project).values():
        for block, fields in stage.get("params", {}).get(PARAMS_FILE, {}).items():
            named = (
                {f"{block}.{key}": value for key, value in fields.items()}
                if isinstance(fields, dict)
                else {block: fields}
            )
            for key, value in named.items():
                found.setdefault(key, []).append(value)
    return found


def _written(project: Path) -> dict[str, Any]:
    try:
        content = json.loads((project / WRITTEN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _has(nested: Mapping[str, Any], key: str) -> bool:
    block, _, name = key.partition(".")
    return name in (nested.get(block) or {})


def _at(nested: Mapping[str, Any], key: str) -> Any:
    block, _, name = key.partition(".")
    return (nested.get(block) or {}).get(name)


def _typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "null" if value is None else str(value)
