"""Find the project that holds the current directory, and the places inside it."""

import os
from pathlib import Path

from transfer.errors import UserError

MARKERS = ("dvc.yaml", "params.yaml")
STATE_FOLDER = ".rootstock"


def find_project(start: Path | None = None) -> Path:
    """Return the nearest folder at or above `start` that holds dvc.yaml and params.yaml.

    Raises:
        UserError: no such folder up to the file system's root.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if all((folder / marker).is_file() for marker in MARKERS):
            return folder
    raise UserError(
        f"{here} is in no Rootstock project (a folder with dvc.yaml and params.yaml); change into one and try again."
    )


def enter_project() -> Path:
    """Make the project that holds the current directory the current directory, and return it.

    Raises:
        UserError: the current directory is in no project.
    """
    project = find_project()
    os.chdir(project)
    return project


def state_folder(project: Path) -> Path:
    """Return the project's folder for locks, logs and failure records, made when it is missing."""
    folder = project / STATE_FOLDER
    folder.mkdir(exist_ok=True)
    return folder
