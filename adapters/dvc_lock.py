"""Read what DVC recorded in dvc.lock and .dvc files: so that asking it starts no process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOCK = "dvc.lock"


def text_of(path: Path) -> str | None:
    """Return the text of a file; None where it is not there or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def stages(text: str | None) -> dict[str, Any]:
    """Return the stages of a dvc.lock, as DVC wrote them.

    Args:
        text: of the file, now or at a commit; None where there is none.
    """
    found = parsed(text).get("stages")
    return found if isinstance(found, dict) else {}


def parsed(text: str | None) -> dict[str, Any]:
    """Return what a file of DVC holds; {} for none and for what DVC did not write.

    Args:
        text: of the file; None where there is none.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(text) if text else None
    except YAMLError:
        return {}
    return content if isinstance(content, dict) else {}


def recorded(project: Path) -> dict[str, Any]:
    """Return dvc.lock's stages; {} when nothing has run yet."""
    return stages(text_of(project / LOCK))


def data_digest(project: Path) -> str | None:
    """Return the md5 of the data set that the manifest stage last read, as DVC has it; None before the first run."""
    return data_of(recorded(project).get("manifest", {}))[1]


def data_of(manifest: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return path and md5 of the data set that the manifest stage read; None where that is not recorded.

    Args:
        manifest: what DVC recorded of the stage.
    """
    path = manifest.get("params", {}).get("params.yaml", {}).get("data", {}).get("path")
    return path, next((dep.get("md5") for dep in manifest.get("deps", ()) if dep.get("path") == path), None)


def made(stage: Mapping[str, Any], path: str) -> str | None:
    """Return the md5 of a file that a stage made; None where that is not recorded.

    Args:
        stage: what DVC recorded of it.
        path: of the file, as dvc.yaml has it.
    """
    found = (out.get("md5") for out in stage.get("outs", ()) if out.get("path") == path)
    return next((str(md5) for md5 in found if md5), None)
