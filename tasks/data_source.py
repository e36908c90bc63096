"""Where the data set lives decides whether DVC can version it: say so, and track what can be tracked."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters import archives, dvc_commands, git_commands, label_tables, named_sets
from adapters.image_files import list_images
from adapters.table_columns import TableChoice
from tasks.params_blocks import DataParams
from transfer.errors import UserError

PATH, TABLE = "data.path", "data.table"


def settle(project: Path, values: Mapping[str, Any], before: DataParams) -> dict[str, Any]:
    """Return settings in which data.path is a folder: a table's folder and the table are noted apart.

    DVC must hash the images, not the table alone. What was said of another data set's table is taken back.

    Args:
        project: the project's folder.
        values: dotted key -> value.
        before: what params.yaml says of the data set.
    """
    settled = dict(values)
    named = str(values.get(PATH, ""))
    if Path(named).suffix.lower() in label_tables.KINDS and (project / named).is_file():
        settled |= {PATH: Path(named).parent.as_posix(), TABLE: Path(named).name}
    if PATH in settled and os.path.normpath(settled[PATH]) != os.path.normpath(before.path):
        said = {f"data.{key}": value for key, value in before.model_dump(exclude={"path"}).items()}
        settled = {key: None for key, value in said.items() if value is not None} | settled
    return settled


def check(project: Path, data_path: str) -> None:
    """Refuse a data set that is not there, or is no folder yet.

    Raises:
        UserError: nothing at `data_path`, and no stage or `.dvc` file can bring it; an archive or a published data set
            that has to be imported; a file; or a folder that holds the project itself.
    """
    place = project / data_path
    if place.is_dir() and project.resolve().is_relative_to(place.resolve()):
        raise UserError(
            f"data.path is {data_path!r}, which holds the project itself; put the images (and their table) into a "
            f"folder of their own."
        )
    if place.is_file():
        raise _no_folder(data_path)
    if place.exists() or is_stage_output(project, data_path) or dvc_file(project, data_path):
        return
    if named_sets.is_reference(data_path):
        raise UserError(f"data.path is {data_path!r}, a published data set; {_import_first(data_path)}.")
    what = "file" if Path(data_path).suffix.lower() in label_tables.KINDS else "folder"
    raise UserError(
        f"data.path is {data_path!r}, but there is no such {what}; name a folder of class folders, for example "
        f"`rootstock run data.path=../photos`."
    )


def examine(settings: Mapping[str, Any]) -> None:
    """Refuse a data set whose table or class folders cannot be used, before anything is written or started.

    Args:
        settings: dotted key -> value, of every parameter; the project's folder is the current directory.

    Raises:
        UserError: as the manifest stage would refuse it, see `adapters.table_listing`.
    """
    said = {key.partition(".")[2]: value for key, value in settings.items() if key.startswith("data.")}
    place, columns = Path(said.pop("path")), said.pop("columns")
    if place.is_dir():
        list_images(place, TableChoice(**said, columns=None if columns is None else tuple(columns)))


def _no_folder(data_path: str) -> UserError:
    path = Path(data_path)
    if path.suffix.lower() in label_tables.KINDS:
        return UserError(
            f"data.path is {data_path!r}, a table; in params.yaml write its folder ({path.parent.as_posix()}) as "
            f"data.path and {path.name} as data.table, so that DVC notices changed images too."
        )
    if archives.is_archive(path):
        return UserError(f"data.path is {data_path!r}, an archive; {_import_first(data_path)}.")
    return UserError(
        f"data.path is {data_path!r}, a file, but must be a folder of images, a table that names them "
        f"({', '.join(label_tables.KINDS)}) or an archive to import; name one of these."
    )


def _import_first(source: str) -> str:
    return f"make a folder of it first with `{shlex.join(('rootstock', 'data', 'import', source))}`"


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
