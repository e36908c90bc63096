"""The files of a state of a data set with their md5: as DVC's cache lists them, or as they lie in the folder now."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import dvc_cache
from adapters.dvc_cache import DIRECTORY
from transfer.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from dvc.repo import Repo


def listed(project: Path, digest: str) -> dict[str, str] | None:
    """Return path -> md5 of the files of a state; None where the cache does not hold its list.

    Args:
        project: the project's folder.
        digest: of a folder, as DVC has it.
    """
    try:
        content = dvc_cache.content(project, digest)
        return None if content is None else {str(one["relpath"]): str(one["md5"]) for one in json.loads(content)}
    except (OSError, ValueError, KeyError, TypeError):  # a damaged list is none; DVC fetches it again
        return None


def digests_from(project: Path, beginning: str) -> list[str]:
    """Return the digests of the folders that the cache has a list of, those that begin so.

    Args:
        project: the project's folder.
        beginning: at least two digits.
    """
    folder = dvc_cache.cache_folder(project) / "files" / "md5" / beginning[:2]
    found = sorted(folder.glob(f"{beginning[2:].removesuffix(DIRECTORY)}*{DIRECTORY}"))
    return [beginning[:2] + path.name for path in found]


def present(project: Path, path: str) -> dict[str, str]:
    """Return path -> md5 of the files of a folder as it is now; what DVC has read and nobody changed is not read again.

    Args:
        project: the project's folder.
        path: of the folder, relative to the project or absolute.

    Raises:
        UserError: there is no such folder, or DVC does not take it for a repository.
        EnvironmentFault: a file cannot be read.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    folder = os.path.normpath(project.absolute() / path)
    if not Path(folder).is_dir():
        raise UserError(
            f"There is no folder {path} here; `dvc checkout` brings back what DVC tracks, or name a revision instead."
        )
    try:
        with Repo(str(project)) as repo:
            return _digests(repo, folder)
    except DvcException as error:
        raise UserError(f"DVC cannot read this project ({error}); run `dvc status` to see what is wrong.") from error
    except OSError as error:
        raise EnvironmentFault(f"A file of {path} cannot be read ({error}); mend that and try again.") from error


def _digests(repo: "Repo", folder: str) -> dict[str, str]:
    """Ask DVC's record of what it has read, and read the others."""
    infos = {
        os.path.join(where, name): _info(os.path.join(where, name))  # noqa: PTH118 a Path a file takes longer than DVC
        for where, _, names in repo.dvcignore.walk(repo.fs, folder)
        for name in names
    }
    known: dict[str, str] = {}
    for path, _, found in repo.state.get_many(list(infos), repo.fs, infos):
        if found is not None and found.name == "md5" and found.value:
            known[path] = found.value
    for path in infos.keys() - known.keys():
        known[path] = dvc_cache.digest_of_file(path)
    return {path[len(folder) + 1 :].replace(os.sep, "/"): digest for path, digest in known.items()}


def _info(path: str) -> dict[str, Any]:
    found = os.stat(path)  # noqa: PTH116 as above
    return {"type": "file", "ino": found.st_ino, "mtime": found.st_mtime, "size": found.st_size}
