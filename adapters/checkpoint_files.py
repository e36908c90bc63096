"""Checkpoints on disk: tensors and what they mean in one file, written whole or not at all."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write
from adapters.project import state_folder

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "checkpoints"
_SUFFIX = ".safetensors"
_MEANING, _KEY, _DIGEST = "meaning", "key", "digest"
_MOST_OF_OTHERS = 2


def key_of(facts: Mapping[str, Any]) -> str:
    """Return a name that tells these facts from any others.

    Args:
        facts: JSON-able; everything that the bytes of a checkpoint depend on.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def code_digest(packages: Iterable[str]) -> str:
    """Return the sha256 over the sources of packages below the folder that holds this one.

    Args:
        packages: names of folders.
    """
    root, found = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted(path for name in packages for path in (root / name).rglob("*.py")):
        found.update(f"{path.relative_to(root)}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def store(project: Path, key: str, tensors: "Mapping[str, Tensor]", meaning: Mapping[str, Any]) -> None:
    """Write a checkpoint in place of the one before it.

    Args:
        project: whose checkpoint.
        key: what it is of.
        tensors: by name, on the processor.
        meaning: JSON-able, without infinite or undefined numbers.

    Raises:
        EnvironmentFault: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save

    from transfer.backbones.digests import digest_of_values

    header = {_KEY: key, _MEANING: json.dumps(meaning, allow_nan=False), _DIGEST: digest_of_values(tensors)}
    content = save({name: value.detach().contiguous() for name, value in tensors.items()}, metadata=header)
    with atomic_write(_path(project, key)) as temporary:
        temporary.write_bytes(content)


def fetch(project: Path, key: str) -> "tuple[dict[str, Tensor], dict[str, Any]] | None":
    """Read a checkpoint.

    Returns:
        Tensors by name, and what they mean; None where there is none of this key, or it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    from transfer.backbones.digests import digest_of_values

    path = _path(project, key)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            header = stored.metadata() or {}
            if header.get(_KEY) != key:
                return None
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  it is no mapping
            return (tensors, json.loads(header[_MEANING])) if header.get(_DIGEST) == digest_of_values(tensors) else None
    except (OSError, ValueError, KeyError, SafetensorError):
        return None  # a damaged checkpoint is none: training begins again


def drop(project: Path, key: str) -> None:
    """Remove a checkpoint that is no longer needed, and all but the newest few of other runs."""
    with suppress(OSError):
        _path(project, key).unlink(missing_ok=True)
        for part in _path(project, key).parent.glob(f".{key}*.part"):  # of a process that was killed while it wrote
            part.unlink(missing_ok=True)
        others = sorted(_path(project, key).parent.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
        for path in others[:-_MOST_OF_OTHERS]:
            path.unlink(missing_ok=True)


def _path(project: Path, key: str) -> Path:
    return state_folder(project) / FOLDER / f"{key}{_SUFFIX}"
