"""Make a working copy as the project was when a version was made: code, parameters, data, weights, memory."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters import dvc_cache, dvc_copies, git_copies, lock_records, machine, mlflow_lineage, origin_files, params_file
from adapters.dvc_cache import code_digest
from adapters.json_files import sha256_of
from adapters.lock_records import StageRecord
from adapters.origin_files import ARCHIVE, CODE, LOCK, MEMORY, NOT_KEPT, PACKAGES, PATCH, SETTINGS
from adapters.project import state_folder
from adapters.registered_models import version_folder
from adapters.registry_copies import lend_registry
from adapters.run_memory import FILE
from adapters.split_ledger import LEDGER
from adapters.version_records import Version
from adapters.weights_cards import declaration_of
from adapters.working_copies import depth, lend, lend_measured, place_for_copy
from tasks.lineage_facts import kept_files, origin_folder
from tasks.origin import COMMIT, MACHINE
from transfer.errors import UserError

LAST = "evaluate"  # the stage up to which a model is made again; what comes after writes outside the project
_SHORT = 12
_REGISTERED = "models:/"  # what the record of a registered model's weights begins with


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a version.

    Args:
        version: of a registered model.
        folder: with the files that were kept.
        stages: what DVC recorded of each stage up to `evaluate`, in order.
        settings: of params.yaml, nested.
        commit: of the code; None where it was in no repository.
    """

    version: Version
    folder: Path
    stages: Mapping[str, StageRecord]
    settings: Mapping[str, Any]
    commit: str | None

    @property
    def data_path(self) -> str:
        """Return where the data set was."""
        return str(self.settings["data"]["path"])

    @property
    def data_digest(self) -> str | None:
        """Return the digest of the data set, as DVC recorded it."""
        return self.version.tags.get(mlflow_lineage.DIGEST_TAG)

    @property
    def is_made(self) -> bool:
        """Say whether a stage makes the data set."""
        return any(self.data_path in record.outs for record in self.stages.values())


def read_origin(project: Path, version: Version) -> Origin:
    """Return what made a version.

    Raises:
        UserError: it was not kept, or the code of it is gone.
    """
    if not kept_files(version):
        raise UserError(
            f"{version} keeps no record of how it was made (an older Rootstock registered it, or the record was lost); "
            f"train it again with `rootstock run` to have one that can be reproduced."
        )
    register = mlflow_lineage.run(project, version.run_id) if version.run_id else None
    folder = origin_folder(version, register) or _fetched(version)
    stages = lock_records.up_to(lock_records.read_lock(folder / LOCK), LAST)
    commit = version.tags.get(COMMIT)
    origin = Origin(version, folder, stages, params_file.read(folder / SETTINGS), None if commit == "none" else commit)
    if LAST not in stages or origin.data_digest is None:
        raise UserError(f"The record of {version} holds no stage {LAST}; train it again with `rootstock run`.")
    if origin.commit is not None and not git_copies.has_commit(project, origin.commit):
        raise UserError(
            f"{version} was made by commit {origin.commit[:_SHORT]}, which this repository does not have; fetch it "
            f"(`git fetch --all`) and run the same command again."
        )
    if origin.commit is None and not (folder / ARCHIVE).is_file():
        raise UserError(f"The code that made {version} was in no commit and is not kept; it cannot be made again.")
    return origin


def lay_out(project: Path, origin: Origin, room: Path) -> Path:
    """Make the copy in a room; return its folder.

    Raises:
        UserError: the data or weights cannot be brought back as they were.
        EnvironmentFault: git or DVC failed.
    """
    recorded = origin.settings["select"].get("weights_sha256") or {}
    weights = {path: digest for path, digest in recorded.items() if not path.startswith(_REGISTERED)}
    registered = {uri: digest for uri, digest in recorded.items() if uri.startswith(_REGISTERED)}
    place = place_for_copy(room, depth([origin.data_path, *weights]))
    place.parent.mkdir(parents=True, exist_ok=True)
    copy = _code(project, origin, place)
    for path in (Path(LOCK), Path("artifacts")):  # that a commit may hold
        _drop(copy / path)
    shutil.copyfile(origin.folder / SETTINGS, copy / SETTINGS)
    dvc_copies.begin(project, copy)
    if (origin.folder / MEMORY).is_file():
        shutil.copyfile(origin.folder / MEMORY, state_folder(copy) / FILE)
    lend_measured(project, copy)
    _data(project, origin, copy)
    _ledger(project, origin, copy)
    _weights(project, origin, copy, weights)
    if registered:
        lend_registry(project, copy, registered)
    return copy


def changed_code(origin: Origin, copy: Path) -> list[str]:
    """Return the files of code that are not as DVC recorded them, sorted."""
    recorded = {path: digest for record in origin.stages.values() for path, digest in record.deps.items()}
    code = {path: digest for path, digest in recorded.items() if Path(path).parts[0] in CODE}
    return sorted(path for path, digest in code.items() if code_digest(copy / path) != digest)


def moved(origin: Origin) -> list[str]:
    """Return a phrase for all that is not as when the model was made: the memory of runs, packages, the machine."""
    file, then, now = origin.folder / PACKAGES, origin.version.tags.get(MACHINE), machine.described()
    packages = origin_files.moved(file.read_text(encoding="utf-8").split()) if file.is_file() else []
    memory = kept_files(origin.version).get(MEMORY, "")
    gone = [f"the memory of runs is missing ({memory})"] if memory.startswith(NOT_KEPT) else []
    return [*gone, *packages, *([f"the machine is {now}, was {then}"] if then not in (None, now) else [])]


def require_data(origin: Origin, copy: Path) -> None:
    """Check that the stages have read the data set that the version was made from.

    Raises:
        UserError: it is another one, and no stage made it.
    """
    stages = lock_records.read_lock(copy / LOCK).values()
    found = {record.deps[origin.data_path] for record in stages if origin.data_path in record.deps}
    if found - {origin.data_digest} and not origin.is_made:
        raise UserError(
            f"{origin.data_path} is not the data that {origin.version} was made from: DVC had recorded "
            f"{origin.data_digest}, now it is {found.pop()}; put that state back and run the same command again."
        )


def _fetched(version: Version) -> Path:
    """Return the folder of what made a version, fetched from a remote store if need be."""
    files = kept_files(version)
    folder = origin_files.find([version_folder(version.name, version.number, version.location)], files)
    if folder is None:
        raise UserError(
            f"What was kept of the making of {version} is gone from {version.location}, or was altered; restore it "
            f"from a copy, or train the model again with `rootstock run`."
        )
    return folder


def _code(project: Path, origin: Origin, place: Path) -> Path:
    said = kept_files(origin.version).get(PATCH, "")
    if said.startswith(NOT_KEPT):
        raise UserError(
            f"{origin.version} was made by code that no commit holds, and its changes were {said}; it cannot be made "
            f"again."
        )
    if origin.commit is None:
        place.mkdir()
        git_copies.begin(place)
        origin_files.unpack_code(origin.folder / ARCHIVE, place)
        return place
    copy = git_copies.check_out(project, origin.commit, place)
    if said:
        git_copies.apply(place, (origin.folder / PATCH).resolve())
    return copy


def _data(project: Path, origin: Origin, copy: Path) -> None:
    path, digest = origin.data_path, str(origin.data_digest)
    if origin.is_made or Path(path).is_absolute() or (copy / path).exists():
        return
    if not Path(path).parts or Path(path).parts[0] == "..":
        lend(project, copy, path)
        return
    dvc_copies.bring_back(project, copy, path, digest)


def _ledger(project: Path, origin: Origin, copy: Path) -> None:
    """Give the copy the ledger of splits as the version's manifest left it, which puts the same images on each side."""
    record = origin.stages.get("manifest")
    content = dvc_cache.content(project, record.outs.get(LEDGER.as_posix(), "")) if record else None
    if content is not None:
        (copy / LEDGER).parent.mkdir(parents=True, exist_ok=True)
        (copy / LEDGER).write_bytes(content)


def _weights(project: Path, origin: Origin, copy: Path, recorded: Mapping[str, str]) -> None:
    """Give the copy the local weights files, each with what is declared of it."""
    for path, digest in recorded.items():
        file = project / Path(path).expanduser()
        found = sha256_of(file) if file.is_file() else "gone"
        if found != digest:
            raise UserError(
                f"The weights file {path} is not the one that {origin.version} was made from (sha256 "
                f"{digest[:_SHORT]}..., now {found[:_SHORT]}); put it back and run the same command again."
            )
        for name in (path, declaration_of(Path(path)).as_posix()):
            lend(project, copy, name)


def _drop(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
