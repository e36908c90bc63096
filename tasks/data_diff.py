"""What differs between two states of a data set: files, classes, splits, and what is recorded of the images."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters import data_lists, data_records, dvc_cache, environment, folder_classes, mlflow_lineage, remote_objects
from adapters.dvc_lock import LOCK, text_of
from adapters.image_files import list_images
from adapters.project import enter_project
from adapters.recorded_manifests import Recorded, md5_of_manifest, read_recorded
from adapters.table_columns import TableChoice
from tasks.data_revisions import State, named
from tasks.lineage_facts import origin_folder
from transfer.data.file_changes import Changes, Entry, Pair, compare, copies
from transfer.errors import UserError

BY_DVC, BY_MANIFESTS = "md5, as DVC lists the files", "sha256, as the manifests list the images"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two states.

    Args:
        state: what was named.
        digest: as DVC has it.
        files: path -> md5 of every file; None where no list of them is here.
        recorded: what the manifest that was made from it says; None where there is none here.
        why: no manifest is here, in words; "" where one is.
        classes: image -> class, as the manifest says, or else the tables of the folder as it is now; None where neither
            is here.
    """

    state: State
    digest: str
    files: Mapping[str, str] | None
    recorded: Recorded | None
    why: str
    classes: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two states.

    Args:
        before: the one state.
        after: the other.
        compared_by: BY_DVC or BY_MANIFESTS.
        images: what differs in the images.
        others: what differs in other files: annotations, notes.
        copies: images that came and have the content of one that was there, which is named first.
        totals: images before and after.
    """

    before: Side
    after: Side
    compared_by: str
    images: Changes
    others: Changes
    copies: tuple[Pair, ...]
    totals: tuple[int, int]

    @property
    def splits_known(self) -> bool:
        """Say whether both states say of some image which split it is in."""
        return all(any(one.split for one in part) for part in (self.entries_before, self.entries_after))

    @property
    def entries_before(self) -> tuple[Entry, ...]:
        """Return every image of the state before."""
        pairs = (*self.images.kept, *self.images.moved, *self.images.changed)
        return (*(pair.before for pair in pairs), *self.images.removed)

    @property
    def entries_after(self) -> tuple[Entry, ...]:
        """Return every image of the state after."""
        pairs = (*self.images.kept, *self.images.moved, *self.images.changed)
        return (*(pair.after for pair in pairs), *self.images.added)


def difference(first: str, second: str, *, fetch: bool = False) -> Difference:
    """Compare two states of a data set; no image is read that DVC has read before.

    Args:
        first: what `tasks.data_revisions.named` takes.
        second: likewise; it is of the data set that `first` names where it names none.
        fetch: whether lists of files and manifests that are not here are fetched from the remote.

    Raises:
        UserError: there is no such state, or it cannot be told here which files it had.
        EnvironmentFault: a file, the store or the remote cannot be read.
    """
    typed_in, project = Path.cwd(), enter_project()
    environment.prepare(project)
    mlflow_lineage.prepare(project)
    before = named(project, typed_in, first)
    after = named(project, typed_in, second, before.path)
    sides = [_side(project, state, fetch=fetch) for state in (before, after)]
    lists = _lists(project, sides[0], sides[1])
    known = _known_images(sides, lists)
    images = [[one for one in entries if one.path in paths] for entries, paths in zip(lists, known, strict=True)]
    either = known[0] | known[1]
    others = [[one for one in entries if one.path not in either] for entries in lists]
    changes = compare(*images)
    return Difference(
        sides[0],
        sides[1],
        BY_DVC if all(side.files is not None for side in sides) else BY_MANIFESTS,
        changes,
        compare(*others),
        copies(changes, images[0]),
        (len(images[0]), len(images[1])),
    )


def _known_images(sides: Sequence[Side], lists: Sequence[Sequence[Entry]]) -> list[set[str]]:
    """Return the paths of the images of each state: those that have a class where both know them, else by ending.

    A table may name an image no longer that is there as before.
    """
    named = [{one.path for one in entries if folder_classes.is_image(one.path)} for entries in lists]
    classes = [side.classes for side in sides if side.classes is not None]
    if len(classes) < len(sides):
        return named
    return [paths & own.keys() for paths, own in zip(named, classes, strict=True)]


def _side(project: Path, state: State, *, fetch: bool) -> Side:
    fetch = fetch and dvc_cache.remote(project) is not None
    files: Mapping[str, str] | None
    if state.digest is None:
        files = data_lists.present(project, state.path)
        digest = dvc_cache.digest_of_folder(files)
    else:
        digest = state.digest
        files = data_lists.listed(project, digest)
        if files is None and fetch and remote_objects.fetch(project, digest):
            files = data_lists.listed(project, digest)
    md5 = _manifest_of(project, state, digest)
    if md5 is None:
        return Side(state, digest, files, None, "no run is recorded that read it", _by_tables(project, state))
    recorded = read_recorded(project, md5)
    if recorded is None and fetch and remote_objects.fetch(project, md5):
        recorded = read_recorded(project, md5)
    why = "" if recorded else f"its manifest ({md5[:12]}) is not in the DVC cache, or of another version of Rootstock"
    classes = None if recorded is None else dict(zip(recorded.paths, recorded.classes, strict=True))
    return Side(state, digest, files, recorded, why, _by_tables(project, state) if classes is None else classes)


def _by_tables(project: Path, state: State) -> dict[str, str] | None:
    """Return image -> class as the tables of a folder say now, whose labels may have changed since a run read it.

    None for another state, for a folder without tables, and where they cannot be used.
    """
    from tasks.params import read_params  # as in `tasks.data_revisions`

    data = read_params().data
    if state.digest is not None or data_records.as_recorded(project, project, data.path) != state.path:
        return None
    with contextlib.suppress(UserError):
        found = list_images(project / state.path, TableChoice(**data.model_dump(exclude={"path"})))
        return {file.path: file.class_name for file in found.files} if found.tables else None
    return None


def _manifest_of(project: Path, state: State, digest: str) -> str | None:
    """Return the md5 of the manifest of a state: by its own dvc.lock, that of now, or that of a model."""
    for lock in (state.lock, text_of(project / LOCK)):
        found = md5_of_manifest(lock, state.path, digest)
        if found is not None:
            return found
    for version in mlflow_lineage.versions_of_data(project, digest):
        run = mlflow_lineage.run(project, version.run_id) if version.run_id else None
        folder = origin_folder(version, run)
        found = None if folder is None else md5_of_manifest(text_of(folder / LOCK), state.path, digest)
        if found is not None:
            return found
    return None


def _lists(project: Path, before: Side, after: Side) -> tuple[list[Entry], list[Entry]]:
    """Return the files of both, compared by one kind of digest, with classes and splits from one kind of source."""
    known = before.classes is not None and after.classes is not None
    if before.files is not None and after.files is not None:
        return _entries(before, before.files, known), _entries(after, after.files, known)
    if before.recorded is not None and after.recorded is not None:
        return _rows(before.recorded), _rows(after.recorded)
    raise _not_here(project, before if before.files is None else after)


def _entries(side: Side, files: Mapping[str, str], known: bool) -> list[Entry]:
    told = folder_classes.classes_of(path for path in files if folder_classes.is_image(path))
    rows, classes = side.recorded, (side.classes or {}) if known else {}
    splits = {} if rows is None else dict(zip(rows.paths, rows.splits, strict=True))
    told = {path: (classes.get(path, name), splits.get(path) or split) for path, (name, split) in told.items()}
    return [Entry(path, digest, *told.get(path, ("", ""))) for path, digest in files.items()]


def _rows(rows: Recorded) -> list[Entry]:
    return [Entry(*row) for row in zip(rows.paths, rows.digests, rows.classes, rows.splits, strict=True)]


def _not_here(project: Path, side: Side) -> UserError:
    path, where = side.state.path, f"{side.state.path} {side.state.source} ({side.digest[:12]})"
    remote = dvc_cache.remote(project)
    if Path(path).is_absolute() or path.startswith(".."):
        return UserError(
            f"Which files were in {where} is not known here: DVC keeps no list of a folder outside the project, and "
            f"{side.why or 'of the other state there is no manifest either'}; name states that a run has read, or copy "
            f"the folder in with `dvc add {path} -o data/{Path(path).name}`."
        )
    if remote is None:
        remedy = "there is no remote; name the one it was pushed to with `dvc remote add -d NAME URL` and try again"
    else:
        remedy = (
            f"`--fetch` brings that list alone from the remote {remote}, `dvc fetch --all-commits` every image of "
            "every commit"
        )
    return UserError(f"The list of files of {where} is not in the DVC cache: {remedy}.")
