"""Read what DVC recorded in dvc.lock: a file, so that asking it starts no process."""

from pathlib import Path
from typing import Any


def recorded(project: Path) -> dict[str, Any]:
    """Return dvc.lock's stages; {} when nothing has run yet."""
    from ruamel.yaml import YAML

    path = project / "dvc.lock"
    if not path.is_file():
        return {}
    content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    return dict((content or {}).get("stages", {}))


def data_digest(project: Path) -> str | None:
    """Return the md5 of the data set that the manifest stage last read, as DVC has it; None before the first run."""
    lock = recorded(project).get("manifest", {})
    path = lock.get("params", {}).get("params.yaml", {}).get("data", {}).get("path")
    return next((dep.get("md5") for dep in lock.get("deps", ()) if dep["path"] == path), None)
