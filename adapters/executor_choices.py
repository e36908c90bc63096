"""Remember which executor is fastest for a network on a machine, in `.rootstock/executors.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import measured

if TYPE_CHECKING:
    from transfer.backbones.trial import Choice

FILE = "executors.json"


def recall(project: Path, facts: Mapping[str, Any]) -> "Choice | None":
    """Return what was chosen for a network on this machine.

    Args:
        project: whose memory is read; a damaged one remembers nothing.
        facts: of the machine and the network.
    """
    from transfer.backbones.trial import Choice

    try:
        return Choice.from_plain(measured.recall(project, FILE, facts))
    except (KeyError, TypeError, ValueError):
        return None


def remember(project: Path, facts: Mapping[str, Any], choice: "Choice") -> None:
    """Keep a choice for the next process; where it cannot be written, the next process measures again.

    Args:
        project: whose memory is written.
        facts: what `recall` will ask with.
        choice: what was chosen.
    """
    measured.remember(project, FILE, facts, choice.to_plain())
