"""What a model was made with: commit, parameters, environment; the tags by which a version says so."""

import hashlib
import json
import platform
from pathlib import Path

from adapters import git_commands, installed
from adapters.json_files import sha256_of
from tasks.params import Params, flatten

COMMIT, DIRTY, PARAMS, ENVIRONMENT = "git_commit", "git_dirty", "params_sha256", "environment"
TAGS = (COMMIT, DIRTY, PARAMS, ENVIRONMENT)
_TOOLS = ("torch", "torchvision", "onnxruntime", "mlflow")
_SHOWN = 16


def origin_tags(project: Path, params: Params) -> dict[str, str]:
    """Return what a version says of the code, the parameters and the machine that made it.

    Args:
        project: the project's folder.
        params: that it was made with.
    """
    settings = json.dumps(flatten(params), sort_keys=True)
    return {
        COMMIT: git_commands.head(project) or "none",
        DIRTY: str(git_commands.is_dirty(project)).lower(),
        PARAMS: hashlib.sha256(settings.encode()).hexdigest(),
        ENVIRONMENT: _environment(project),
    }


def _environment(project: Path) -> str:
    versions = [f"Python {installed.python_version()}", *(f"{name} {installed.version_of(name)}" for name in _TOOLS)]
    lock = project / "requirements.lock"
    digest = f", requirements.lock {sha256_of(lock)[:_SHOWN]}" if lock.is_file() else ""
    return f"{', '.join(versions)}, {platform.system()} {platform.machine()}{digest}"
