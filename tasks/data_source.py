"""Where the data set lives decides whether DVC can version it: say so, and track what can be tracked."""

from pathlib import Path

from adapters import dvc_commands, git_commands
from transfer.errors import UserError


def check(project: Path, data_path: str) -> None:
    """Refuse a data set that is not there.

    Raises:
        UserError: nothing at `data_path`, and no stage or `.dvc` file can bring it.
    """
    if (project / data_path).exists() or is_stage_output(project, data_path) or _dvc_file(project, data_path):
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
        return (
            f"{data_path} is outside the project: DVC hashes it, so a change is noticed, but cannot bring an old version back. "
            f"`dvc add {data_path} -o data/{folder.name}` copies it in and versions it."
        )
    if is_stage_output(project, data_path) or _dvc_file(project, data_path) or git_commands.tracks(project, data_path):
        return None
    dvc_commands.add(project, data_path)
    return f"{data_path} is now tracked by DVC; commit {data_path.rstrip('/')}.dvc to keep this version."


def is_stage_output(project: Path, data_path: str) -> bool:
    """Say whether a stage of dvc.yaml writes the data set."""
    return Path(data_path) in dvc_commands.outputs(project)


def _dvc_file(project: Path, data_path: str) -> Path | None:
    path = Path(data_path)
    for candidate in (path, *path.parents):
        found = project / candidate.parent / f"{candidate.name}.dvc"
        if candidate.name and found.is_file():
            return found
    return None
