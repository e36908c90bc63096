"""Remember which executor is fastest for a network on a machine, in `.rootstock/executors.json`."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_plain_json, write_plain_json
from adapters.project import STATE_FOLDER, state_folder
from transfer.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from transfer.backbones.trial import Choice

FILE = "executors.json"
_MOST = 256  # choices that are kept, the oldest go first


def recall(project: Path, facts: Mapping[str, Any]) -> "Choice | None":
    """Return what was chosen for a network on this machine.

    Args:
        project: whose memory is read; a damaged one remembers nothing.
        facts: of the machine and the network.
    """
    from transfer.backbones.trial import Choice

    try:
        return Choice.from_plain(_read(project)[_key(facts)]["choice"])
    except (KeyError, TypeError, ValueError):
        return None


def remember(project: Path, facts: Mapping[str, Any], choice: "Choice") -> None:
    """Keep a choice for the next process; where it cannot be written, the next process measures again.

    Args:
        project: whose memory is written.
        facts: what `recall` will ask with.
        choice: what was chosen.
    """
    known = _read(project)
    known.pop(_key(facts), None)
    known[_key(facts)] = {"facts": dict(facts), "choice": choice.to_plain()}
    try:
        write_plain_json(state_folder(project) / FILE, dict(list(known.items())[-_MOST:]))
    except (OSError, EnvironmentFault):
        return


def _read(project: Path) -> dict[str, Any]:
    try:
        known: Any = read_plain_json(project / STATE_FOLDER / FILE)
    except (UserError, OSError, UnicodeDecodeError):
        return {}
    return known if isinstance(known, dict) else {}


def _key(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
