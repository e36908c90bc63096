"""Remember what was measured on a machine, in JSON files below `.rootstock`: the next process reads it again."""

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.json_files import read_plain_json, write_plain_json
from adapters.project import STATE_FOLDER, state_folder
from transfer.errors import EnvironmentFault, UserError

_MOST = 256  # figures that a file keeps, the oldest go first
_writing = threading.Lock()


def recall(project: Path, file: str, facts: Mapping[str, Any]) -> Any:
    """Return what was measured, JSON-able; None where nothing was.

    Args:
        project: whose memory is read; a damaged file remembers nothing.
        file: its name.
        facts: all that the figure depends on, the machine among it.
    """
    entry = _read(project, file).get(_key(facts))
    return entry.get("found") if isinstance(entry, dict) else None


def remember(project: Path, file: str, facts: Mapping[str, Any], found: Any) -> None:
    """Keep what was measured; where it cannot be written, the next process measures again.

    Args:
        project: whose memory is written.
        file: its name.
        facts: what `recall` will ask with.
        found: what was measured, JSON-able.
    """
    with _writing:
        known = _read(project, file)
        known.pop(_key(facts), None)
        known[_key(facts)] = {"facts": dict(facts), "found": found}
        try:
            write_plain_json(state_folder(project) / file, dict(list(known.items())[-_MOST:]))
        except (OSError, EnvironmentFault):
            return


def _read(project: Path, file: str) -> dict[str, Any]:
    try:
        known: Any = read_plain_json(project / STATE_FOLDER / file)
    except (UserError, OSError, UnicodeDecodeError):
        return {}
    return known if isinstance(known, dict) else {}


def _key(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
