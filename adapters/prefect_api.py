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

# Where one of these is set, the server's database is not the one in its home.
DATABASE_SETTINGS = tuple(
    f"PREFECT_{part}_DATABASE_{name}" for part in ("API", "SERVER") for name in ("CONNECTION_URL", "HOST")
)
RUNNING_FILE = "servers.json"  # written while `rootstock up` runs


def running_api(project: Path) -> str | None:
    """Return the URL of the Prefect API that this project should use and that answers now.

    Asked in this order: PREFECT_API_URL, what `rootstock up` started, prefect.toml. A local server that one of the last
    two names is taken only when it keeps its state where this project does: another project's may hold the port by now.
    """
    exported = environment.get("PREFECT_API_URL")
    if exported:
        return exported if api_answers(exported) else None
    homes = _own_home(project), Path(environment.get("PREFECT_HOME") or _own_home(project)).resolve()
    for url in (read_running(project).get("prefect_api"), _configured_url(project)):
        if isinstance(url, str) and api_answers(url) and (not _is_local(url) or _home(url) in homes):
            return url
    return None


def is_its_own(url: str, project: Path) -> bool:
    """Tell whether a local API serves this project alone: its state and its database are in the project's folder.

    Args:
        url: the API's URL, which ends in /api.
        project: the project's folder.
    """
    elsewhere = any(environment.get(name) for name in DATABASE_SETTINGS)
    return not elsewhere and _is_local(url) and _home(url) == _own_home(project)


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


def _is_local(url: str) -> bool:
    return url.startswith((f"http://{HOST}:", "http://localhost:"))


def _own_home(project: Path) -> Path:
    return (project / ".prefect").resolve()


def _home(url: str) -> Path | None:
    """Return the folder that a server keeps its state in; None where it does not say."""
    try:
        with OPENER.open(f"{url.rstrip('/')}/admin/settings", timeout=2.0) as answer:
            return Path(json.load(answer)["home"]).resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return None
