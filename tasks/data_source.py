"""Where the data set lives decides whether DVC can version it: say so, and track what can be tracked."""

import os
import shlex
from pathlib import Path

from adapters import dvc_commands, git_commands
from transfer.errors import UserError


def check(project: Path, data_path: str) -> None:
    """Refuse a data set that is not there.

    Raises:
        UserError: nothing at `data_path`, and no stage or `.dvc` file can bring it.
    """
    if (project / data_path).exists() or is_stage_output(project, data_path) or dvc_file(project, data_path):
        return
    raise UserError(
        f"data.path is {data_path!r}, but there is no such folder; name a folder of class folders, for example "
        f"`rootstock run data.path=../photos`."
    )


def track(project: Path, data_path: str) -> str | None:
    """Track a data set inside the project with `dvc add`; return what the user should know, if anything.

    Args:
        project: the project's folder.
        data_path: relative to the project, or absolute.
    """
    folder = (project / data_path).resolve()
    if not folder.is_relative_to(project.resolve()):
        copied = ("dvc", "add", data_path, "-o", f"data/{folder.name}")
        return (
            f"{data_path} is outside the project: DVC hashes it, so a change is noticed, but cannot bring an old "
            f"version back. `{shlex.join(copied)}` copies it in and versions it."
        )
    if is_stage_output(project, data_path) or dvc_file(project, data_path) or git_commands.tracks(project, data_path):
        return None
    try:
        dvc_commands.add(project, data_path)
    except UserError as error:  # no reason to lose a run that has just ended well
        return f"{data_path} has no versions: {error}"
    return f"{data_path} is now tracked by DVC; commit {data_path.rstrip('/')}.dvc to keep this version."


def is_stage_output(project: Path, data_path: str) -> bool:
    """Say whether a stage of dvc.yaml writes the data set, or a folder that holds it."""
    inside = _inside(project, data_path)
    outputs = dvc_commands.outputs(project)
    return inside is not None and any(folder in outputs for folder in (inside, *inside.parents))


def dvc_file(project: Path, data_path: str) -> Path | None:
    """Return the `.dvc` file that tracks the data set or a folder that holds it, relative to the project."""
    inside = _inside(project, data_path)
    if inside is None:
        return None
    found = (folder.with_name(f"{folder.name}.dvc") for folder in (inside, *inside.parents) if folder.name)
    return next((path for path in found if (project / path).is_file()), None)


def _inside(project: Path, data_path: str) -> Path | None:
    """Return the path relative to the project, links not followed; None outside."""
    path = Path(os.path.normpath(project / data_path))
    return path.relative_to(project) if path.is_relative_to(project) else None
