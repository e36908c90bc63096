"""Keep what a run is about to replace, so that a run refused half-way leaves the project as it was.

Folders of outputs are hard-linked, not copied: DVC and the stages replace their files by name and never write into an
old one. Single files (params.yaml, dvc.lock, `.dvc` files) are copied: DVC and editors write into them. Where the
outputs lie on another file system than the project's state, they are copied too.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from adapters.project import state_folder

_FOLDER = "before"


def take(project: Path, paths: Sequence[Path]) -> None:
    """Remember `paths` (relative to the project; missing ones as missing), forgetting an older snapshot."""
    forget(project)
    folder = state_folder(project) / _FOLDER
    folder.mkdir()
    for path in paths:
        source, target = project / path, folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=_link, symlinks=True)
        elif source.exists():
            shutil.copy2(source, target)


def restore(project: Path, paths: Sequence[Path]) -> None:
    """Put everything back as it was when the snapshot was taken; what was missing then is removed."""
    folder = state_folder(project) / _FOLDER
    discarded = state_folder(project) / "discarded"
    shutil.rmtree(discarded, ignore_errors=True)
    for path in paths:
        current, kept = project / path, folder / path
        if current.exists():
            (discarded / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(current, discarded / path)
        if kept.exists():
            current.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(kept, current)
    shutil.rmtree(discarded, ignore_errors=True)
    forget(project)


def forget(project: Path) -> None:
    """Drop the snapshot: the run ended, or went far enough to be taken up again."""
    shutil.rmtree(state_folder(project) / _FOLDER, ignore_errors=True)


def _link(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
