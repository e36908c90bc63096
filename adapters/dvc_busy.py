"""DVC's own record of which process uses which path, freed of processes that are dead but not buried.

DVC drops the entries of processes that are gone, but takes a zombie for alive: in a container whose first process
buries nobody, one killed `dvc repro` would keep the project busy for good.
"""

import json
from pathlib import Path
from typing import Any

from adapters.json_files import write_plain_json


def forget_dead(project: Path) -> None:
    """Drop the entries of zombies."""
    record = project / ".dvc" / "tmp" / "rwlock"
    try:
        held: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    writers = {path: info for path, info in held.get("write", {}).items() if not _is_zombie(info["pid"])}
    readers = {
        path: [info for info in infos if not _is_zombie(info["pid"])] for path, infos in held.get("read", {}).items()
    }
    kept = {"write": writers, "read": {path: infos for path, infos in readers.items() if infos}}
    if kept != held:
        write_plain_json(record, kept)


def _is_zombie(pid: int) -> bool:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return False
    return after_name.split()[:1] == ["Z"]
