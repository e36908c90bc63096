"""What a model was made with: commit, parameters, environment; the tags by which a version says so."""

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import git_commands, installed, machine
from adapters.json_files import sha256_of
from adapters.origin_files import FILES_TAG

if TYPE_CHECKING:
    from tasks.params import Params

COMMIT, DIRTY, PARAMS, ENVIRONMENT = "git_commit", "git_dirty", "params_sha256", "environment"
DATA_PATH, MACHINE = "data_path", "machine"
TAGS = (COMMIT, DIRTY, PARAMS, ENVIRONMENT, MACHINE, DATA_PATH, FILES_TAG)
_TOOLS = ("torch", "torchvision", "onnxruntime", "mlflow")
_SHOWN = 16


def origin_tags(project: Path, params: "Params") -> dict[str, str]:
    """Return what a version says of the code, the parameters and the machine that made it.

    Args:
        project: the project's folder.
        params: that it was made with.
    """
    from tasks.params import flatten  # pydantic, which whoever only reads the tags does without

    return {
        COMMIT: git_commands.head(project) or "none",
        DIRTY: str(git_commands.is_dirty(project)).lower(),
        PARAMS: params_digest(flatten(params)),
        ENVIRONMENT: _environment(project),
        MACHINE: machine.described(),
        DATA_PATH: params.data.path,
    }


def params_digest(values: Mapping[str, Any]) -> str:
    """Return the sha256 of parameters.

    Args:
        values: dotted key -> value, of every parameter.
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _environment(project: Path) -> str:
    versions = [f"Python {installed.python_version()}", *(f"{name} {installed.version_of(name)}" for name in _TOOLS)]
    lock = project / "requirements.lock"
    digest = f", requirements.lock {sha256_of(lock)[:_SHOWN]}" if lock.is_file() else ""
    return f"{', '.join(versions)}, {platform.system()} {platform.machine()}{digest}"
