"""The files that say how a version was made, kept with it: what it takes to make it again.

They lie in the version's own folder and, a second time, with the run that registered it, so that neither a repair of
the one nor the end of the other loses them.
"""

import gzip
import json
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from adapters import git_commands, git_copies, run_memory
from adapters.json_files import sha256_of
from transfer.errors import EnvironmentFault, RootstockError

ORIGIN = "origin"  # the folder of these files
NOT_KEPT = "not kept"  # what is said in place of a digest begins so
FILES_TAG = "origin_files"  # of a version: name -> sha256 of each, JSON
LOCK, SETTINGS, PATCH, ARCHIVE = "dvc.lock", "params.yaml", "changes.patch", "code.tar.gz"
PACKAGES, MEMORY = "packages.txt", "memory.jsonl"
# What decides how a stage runs, beside the data and the parameters.
CODE = (
    *("flows", "tasks", "adapters", "transfer", "backbones"),
    *("expectations", "dvc.yaml", ".dvcignore", "requirements.lock"),
)
_MOST_BYTES = 8_000_000  # of a file


def gather(project: Path, folder: Path) -> str:
    """Write the files of the project as it is now; return name -> sha256, or why it is not kept, as JSON.

    Args:
        project: the project's folder, in which the stages up to `evaluate` have run.
        folder: an empty folder.
    """
    sources = {LOCK: project / LOCK, SETTINGS: project / SETTINGS, MEMORY: run_memory.memory_file(project)}
    for name, source in sources.items():
        if source.is_file():
            shutil.copyfile(source, folder / name)
    (folder / PACKAGES).write_text("".join(f"{line}\n" for line in packages()), encoding="utf-8")
    said = _keep_code(project, folder)
    for path in folder.iterdir():
        too_large = path.stat().st_size > _MOST_BYTES
        said[path.name] = f"{NOT_KEPT}: {path.stat().st_size / 1e6:.0f} MB" if too_large else sha256_of(path)
        if too_large:
            path.unlink()
    return json.dumps(said, sort_keys=True)


def gather_again(project: Path, folder: Path, before: str) -> str | None:
    """Write the files once more, for a version that lost them; return what `gather` does.

    The memory of runs has grown since, so the one of now is left out.

    Args:
        project: the project's folder.
        folder: an empty folder.
        before: what `gather` returned when the version was made.

    Returns:
        None where the project is no longer as it was then, or that is not known.
    """
    try:
        then, now = json.loads(before), json.loads(gather(project, folder))
    except ValueError:
        return None
    if now.get(MEMORY) != then.get(MEMORY):
        (folder / MEMORY).unlink(missing_ok=True)
        now = {name: digest for name, digest in now.items() if name != MEMORY}
        now |= {MEMORY: f"{NOT_KEPT}: lost with the registry"} if MEMORY in then else {}
    same = all(now.get(name) == then.get(name) for name in {*now, *then} - {MEMORY})
    return json.dumps(now, sort_keys=True) if same and LOCK in then else None


def packages() -> list[str]:
    """Return name==version of everything that is installed, sorted."""
    found = {one.name.lower().replace("_", "-"): one.version for one in metadata.distributions() if one.name}
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def moved(recorded: Iterable[str]) -> list[str]:
    """Return a phrase for every package that is installed in another version than was recorded, or is not.

    Args:
        recorded: what `packages` returned then.
    """
    then, now = (dict(line.split("==", 1) for line in lines) for lines in (recorded, packages()))
    changed = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return [f"{name} {now.get(name, 'missing')}, was {then.get(name, 'missing')}" for name in changed]


def recorded(tags: Mapping[str, str]) -> dict[str, str]:
    """Return name -> sha256 of what was kept of the making of a version, or why it was not; {} where nothing was.

    Args:
        tags: of the version.
    """
    try:
        said = json.loads(tags.get(FILES_TAG, "{}"))
    except ValueError:
        return {}
    return {str(name): str(digest) for name, digest in said.items()} if isinstance(said, dict) else {}


def find(places: Iterable[Path], digests: Mapping[str, str]) -> Path | None:
    """Return the first folder that holds the files as they were kept; None where there is none.

    Args:
        places: of the version's files, and of its run's, on this disk.
        digests: what `gather` returned.
    """
    kept = {name: digest for name, digest in digests.items() if not digest.startswith(NOT_KEPT)}
    for place in places:
        folder = place / ORIGIN
        if all((folder / name).is_file() and sha256_of(folder / name) == digest for name, digest in kept.items()):
            return folder
    return None


def unpack_code(archive: Path, target: Path) -> None:
    """Put the code of an archive into a folder.

    Raises:
        EnvironmentFault: it cannot be read.
    """
    try:
        with tarfile.open(archive) as stream:
            for member in stream:
                _unpack(stream, member, target)
    except (tarfile.TarError, OSError) as error:
        raise EnvironmentFault(f"{archive} cannot be unpacked ({error}); restore it from a copy.") from error


def _unpack(stream: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write a file of an archive below a folder; anything but files and folders below it is refused.

    By hand: Python's own filter for archives of unknown origin came with 3.11.4.
    """
    place = (target / member.name).resolve()
    if not place.is_relative_to(target.resolve()) or not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name} is no file or folder below it")
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    content = stream.extractfile(member)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"" if content is None else content.read())


def _keep_code(project: Path, folder: Path) -> dict[str, str]:
    """Keep what no commit holds of the code; return what cannot be kept, and why."""
    if git_commands.head(project) is None:
        with (
            (folder / ARCHIVE).open("wb") as file,
            gzip.GzipFile(
                "", "wb", fileobj=file, mtime=0
            ) as packed,  # without a time of day: the same code, the same file
            tarfile.open(fileobj=packed, mode="w") as stream,
        ):
            for name in CODE:
                if (project / name).exists():
                    stream.add(project / name, name, filter=_is_code)
        return {}
    try:
        patch = git_copies.changes(project, CODE)
    except RootstockError as error:  # a repository that cannot be read is no reason to lose a model
        return {PATCH: f"{NOT_KEPT}: {error}"}
    if patch:
        (folder / PATCH).write_bytes(patch)
    return {}


def _is_code(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry
