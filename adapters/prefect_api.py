"""Which Prefect API belongs to this project and answers now."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters import environment
from adapters.answering import HOST, OPENER, api_answers
from adapters.json_files import write_plain_json
from adapters.project import state_folder

RUNNING_FILE = "servers.json"  # written while `rootstock up` runs


def running_api(project: Path) -> str | None:
    """Return the URL of the Prefect API that this project should use and that answers now.

    Asked in this order: PREFECT_API_URL, what `rootstock up` started, prefect.toml. A local server that prefect.toml
    names is taken only when it keeps its state in this project: another project's server may hold the same port.
    """
    exported = environment.get("PREFECT_API_URL")
    if exported:
        return exported if api_answers(exported) else None
    started = read_running(project).get("prefect_api", "")
    if started and api_answers(started):
        return str(started)
    configured = _configured_url(project)
    if configured and api_answers(configured) and _belongs_to(configured, project):
        return configured
    return None


def note_running(project: Path, addresses: Mapping[str, Any]) -> None:
    """Leave the addresses of the servers that run now for other commands of this project."""
    write_plain_json(state_folder(project) / RUNNING_FILE, addresses)


def read_running(project: Path) -> dict[str, Any]:
    """Return what `note_running` left; empty when nothing runs."""
    try:
        content = json.loads((project / ".rootstock" / RUNNING_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def forget_running(project: Path) -> None:
    """Remove what `note_running` left."""
    (state_folder(project) / RUNNING_FILE).unlink(missing_ok=True)


def _configured_url(project: Path) -> str | None:
    try:
        content = tomllib.loads((project / "prefect.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return None
    url = content.get("api", {}).get("url")
    return url if isinstance(url, str) else None


def _belongs_to(url: str, project: Path) -> bool:
    if not url.startswith((f"http://{HOST}:", "http://localhost:")):
        return True
    try:
        with OPENER.open(f"{url.rstrip('/')}/admin/settings", timeout=2.0) as answer:
            home = json.load(answer).get("home", "")
    except (OSError, ValueError):
        return False
    return Path(home).resolve() == (project / ".prefect").resolve()
