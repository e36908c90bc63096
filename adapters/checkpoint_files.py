"""Checkpoints and outcomes of steps on disk: tensors and what they mean in one file, written whole or not at all."""

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

CHECKPOINTS, STEPS = "checkpoints", "steps"
_SUFFIX = ".safetensors"
_MEANING, _KEY, _DIGEST = "meaning", "key", "digest"
_MOST_OF_OTHERS = 2
_MOST_BYTES = 2_000_000_000


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


def store(
    project: Path, key: str, tensors: "Mapping[str, Tensor]", meaning: Mapping[str, Any], folder: str = CHECKPOINTS
) -> None:
    """Write a file in place of the one before it.

    Args:
        project: whose.
        key: what it is of.
        tensors: by name, on the processor.
        meaning: JSON-able, without infinite or undefined numbers.
        folder: `CHECKPOINTS` or `STEPS`.

    Raises:
        EnvironmentFault: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save

    said = json.dumps(meaning, allow_nan=False)
    header = {_KEY: key, _MEANING: said, _DIGEST: _digest(said, tensors)}
    content = save({name: value.detach().contiguous() for name, value in tensors.items()}, metadata=header)
    with atomic_write(_path(project, key, folder)) as temporary:
        temporary.write_bytes(content)


def fetch(project: Path, key: str, folder: str = CHECKPOINTS) -> "tuple[dict[str, Tensor], dict[str, Any]] | None":
    """Read what `store` wrote.

    Returns:
        Tensors by name, and what they mean; None where there is none of this key, or it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = _path(project, key, folder)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            header = stored.metadata() or {}
            if header.get(_KEY) != key:
                return None
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  it is no mapping
            said = header[_MEANING]
            return (tensors, json.loads(said)) if header.get(_DIGEST) == _digest(said, tensors) else None
    except (OSError, ValueError, KeyError, SafetensorError):
        return None  # a damaged file is none: what it held is computed again


def drop(project: Path, key: str) -> None:
    """Remove a checkpoint that is no longer needed, and all but the newest few of other runs."""
    with suppress(OSError):
        own = _path(project, key, CHECKPOINTS)
        own.unlink(missing_ok=True)
        for part in own.parent.glob(f".{key}*.part"):  # of a process that was killed while it wrote
            part.unlink(missing_ok=True)
        for path in _oldest_first(own.parent)[:-_MOST_OF_OTHERS]:
            path.unlink(missing_ok=True)


def prune(project: Path, most_bytes: int = _MOST_BYTES) -> None:
    """Remove the outcomes of steps that were not asked for the longest, until they take no more than some bytes."""
    with suppress(OSError):
        for part in (state_folder(project) / STEPS).glob(f".*{_SUFFIX}*.part"):  # of a process that was killed
            part.unlink(missing_ok=True)
        paths = _oldest_first(state_folder(project) / STEPS)
        n_bytes = sum(path.stat().st_size for path in paths)
        for path in paths:
            if n_bytes <= most_bytes:
                break
            n_bytes -= path.stat().st_size
            path.unlink(missing_ok=True)


def touch(project: Path, key: str) -> None:
    """Note that the outcome of a step was asked for."""
    with suppress(OSError):
        _path(project, key, STEPS).touch()


def _digest(said: str, tensors: "Mapping[str, Tensor]") -> str:
    """Return the sha256 over tensors and what they mean."""
    from transfer.backbones.digests import digest_of_values

    return hashlib.sha256(f"{said}{digest_of_values(tensors)}".encode()).hexdigest()


def _oldest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)


def _path(project: Path, key: str, folder: str) -> Path:
    return state_folder(project) / folder / f"{key}{_SUFFIX}"
