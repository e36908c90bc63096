"""Apply what a person decided of labels that looked wrong: a new version of the data set, which can be taken back."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from adapters import dvc_commands, environment, git_commands, relabelling
from adapters.class_folders import FoundFile, Listing
from adapters.image_files import list_images
from adapters.json_files import sha256_of
from adapters.locks import project_lock
from adapters.manifest_file import read_manifest
from adapters.project import enter_project
from adapters.relabelling import Journal, Move
from adapters.review_table import Decision, read_table
from adapters.table_columns import TableChoice
from tasks import data_source
from tasks.params import read_params
from transfer.errors import UserError
from transfer.records import Row

_AGAIN = "run `rootstock run` and `rootstock data review`, and decide again."


def relabel(table: Path | None, *, undo: bool) -> None:
    """Apply a table of decisions, finish what was cut off, or take back what was done last.

    Args:
        table: None to finish or take back.
        undo: whether to take back.

    Raises:
        UserError: a decision is about no image of this version of the data set, a class is unknown, there is nothing
            to finish or take back; nothing has changed then.
        EnvironmentFault: a file cannot be moved; what was moved can be taken back.
    """
    given = None if table is None else Path(os.path.abspath(table))  # noqa: PTH100  a link to a table stays one
    project = enter_project()
    environment.prepare(project)
    if undo and given is not None:
        raise UserError(f"--undo takes no table, but {table} was given; leave out one of them.")
    with project_lock(project):
        begun = relabelling.cut_off(project)
        if undo:
            _undo(project, begun or _last(project))
        elif given is None:
            _finish(project, begun)
        else:
            relabelling.refuse_if_cut_off(project)
            _apply(project, given)


def _apply(project: Path, table: Path) -> None:
    data = read_params().data
    data_path, decisions = data.path, read_table(table)
    _refuse_generated(project, data_path)
    listing = list_images(project / data_path, TableChoice(**data.model_dump(exclude={"path"})))
    _refuse_described(data_path, listing)
    done = _done_before(project, data_path)
    left = [one for one in decisions if (one.path, one.sha256) not in done or (project / data_path / one.path).exists()]
    moves = planned(project / data_path, listing, left)
    before = len(decisions) - len(left)
    told = f" {before} decision{'' if before == 1 else 's'} had been applied before." if before else ""
    if not moves:
        print(f"Nothing to change: no line of {table} that is still open relabels or removes an image.{told}")
        return
    _keep_version(project, data_path)
    journal = relabelling.begin(project, data_path, moves)
    relabelling.carry_out(project, journal)
    _ended(project, journal, told)


def planned(data: Path, listing: Listing, decisions: Sequence[Decision]) -> tuple[Move, ...]:
    """Return the moves that decisions ask for, once every one of them is known to be possible.

    Args:
        data: the data set's folder.
        listing: what it holds.
        decisions: of a person.

    Raises:
        UserError: one of them is not.
    """
    files, rows = {file.path: file for file in listing.files}, {row.path: row for row in read_manifest().rows}
    taken, depth = set(files), _depth(listing)
    moves = []
    for one in decisions:
        file = _reviewed(data, one, files, rows)
        _refuse_class(one, listing.classes)
        if one.new_class == file.class_name:  # says what `keep` says
            continue
        target = "" if one.new_class is None else _free(_moved_to(file, one.new_class, depth), file, data, taken)
        taken.add(target)
        moves.append(Move(one.path, target, one.sha256))
    _refuse_emptied(listing, files, decisions)
    return tuple(moves)


def _reviewed(data: Path, one: Decision, files: Mapping[str, FoundFile], rows: Mapping[str, Row]) -> FoundFile:
    """Return the file of a decision, which has to be the one that was reviewed."""
    where, file, row = f"Line {one.line}: {one.path!r}", files.get(one.path), rows.get(one.path)
    if file is None:
        raise UserError(f"{where} is no image of {data}; {_AGAIN}")
    if row is None or row.sha256 != one.sha256:
        raise UserError(f"{where} is not the image that was reviewed, or the data set changed since; {_AGAIN}")
    if row.split == "test":
        raise UserError(
            f"{where} is a test image, whose labels are sealed: mended by what a model says, they would flatter it; "
            "remove the line."
        )
    if file.class_name != one.given:
        raise UserError(f"{where} is labelled {file.class_name!r}, not {one.given!r} as the table says; {_AGAIN}")
    if sha256_of(data / one.path) != one.sha256:
        raise UserError(f"{where} has changed since it was reviewed; {_AGAIN}")
    return file


def _refuse_class(one: Decision, classes: Sequence[str]) -> None:
    if one.new_class is not None and one.new_class not in classes:
        named = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        raise UserError(
            f"Line {one.line}: there is no class {one.new_class!r} ({named}); write one of them, or make its folder "
            "with an image in it first."
        )


def _depth(listing: Listing) -> int:
    """Return how many folders class folders lie in: one where those are splits, or a single one called train."""
    return int(bool(listing.given_splits) or len({file.path.partition("/")[0] for file in listing.files}) == 1)


def _moved_to(file: FoundFile, new_class: str, depth: int) -> PurePosixPath:
    """Return a file's path with its class folder changed; the split folder above and folders below stay."""
    parts = list(PurePosixPath(file.path).parts)
    parts[depth] = new_class
    return PurePosixPath(*parts)


def _free(path: PurePosixPath, file: FoundFile, data: Path, taken: set[str]) -> str:
    """Return a path that no file has: where the name is taken, the class that the image comes from is added to it."""
    stem, n = f"{path.stem}-from-{file.class_name}", 1
    found = path
    while str(found) in taken or os.path.lexists(data / found):
        found, n = path.with_name(f"{stem}{f'-{n}' if n > 1 else ''}{path.suffix}"), n + 1
    return str(found)


def _refuse_emptied(listing: Listing, files: Mapping[str, FoundFile], decisions: Sequence[Decision]) -> None:
    left = Counter((file.split, file.class_name) for file in listing.files)
    for one in decisions:
        file = files[one.path]
        left[file.split, file.class_name] -= 1
        if one.new_class is not None:
            left[file.split, one.new_class] += 1
    for (split, name), n_files in sorted(left.items()):
        if n_files == 0:
            within = f" of {split}" if split else ""
            raise UserError(
                f"The decisions would leave class {name!r}{within} without an image; keep some, or remove the class "
                "folder by hand."
            )


def _refuse_generated(project: Path, data_path: str) -> None:
    """Refuse a data set that is written again by a stage."""
    if data_source.is_stage_output(project, data_path):
        raise UserError(
            f"{data_path} is written by a stage of dvc.yaml, which would undo every decision; copy it, and name the "
            f"copy: `rootstock run data.path=...`."
        )


def _refuse_described(data_path: str, listing: Listing) -> None:
    """Refuse a data set whose images a table names by their paths: its rows would name files that have moved."""
    if listing.tables:
        tables = " and ".join(f"{data_path.rstrip('/')}/{name}" for name in listing.tables)
        raise UserError(
            f"{tables} {'names' if len(listing.tables) == 1 else 'name'} the images of {data_path} by their paths, "
            "which a decision would change; apply the decisions there by hand: change labels, remove rows."
        )


def _done_before(project: Path, data_path: str) -> set[tuple[str, str]]:
    """Return path and digest of images that earlier relabellings moved away and nobody brought back."""
    applied = [one for one in relabelling.journals(project) if one.state == relabelling.APPLIED]
    return {(move.source, move.sha256) for one in applied if one.data_path == data_path for move in one.moves}


def _finish(project: Path, begun: Journal | None) -> None:
    if begun is None:
        raise UserError(
            "No relabelling was cut off; name the table to apply: `rootstock data relabel artifacts/review/labels.csv`."
        )
    if begun.state == relabelling.UNDOING:
        _undo(project, begun)
        return
    relabelling.carry_out(project, begun)
    _ended(project, begun, "")


def _undo(project: Path, journal: Journal | None) -> None:
    if journal is None:
        raise UserError("No relabelling is there to be taken back.")
    relabelling.take_back(project, journal)
    version = _keep_version(project, journal.data_path)
    relabelling.end(journal, relabelling.UNDONE)
    n_moves = len(journal.moves)
    print(
        f"Relabelling {journal.number} is taken back: {n_moves} image{'' if n_moves == 1 else 's'} of "
        f"{journal.data_path} {'is' if n_moves == 1 else 'are'} where {'it' if n_moves == 1 else 'they'} "
        f"{'was' if n_moves == 1 else 'were'}. {version}"
    )


def _last(project: Path) -> Journal | None:
    """Return the relabelling that was applied last."""
    applied = [one for one in relabelling.journals(project) if one.state == relabelling.APPLIED]
    return applied[-1] if applied else None


def _ended(project: Path, journal: Journal, told: str) -> None:
    """Track the new version, close the journal and tell what was done."""
    version = _keep_version(project, journal.data_path)
    relabelling.end(journal, relabelling.APPLIED)
    n_removed = sum(not move.target for move in journal.moves)
    n_relabelled = len(journal.moves) - n_removed
    print(
        f"{n_relabelled} image{'s have' if n_relabelled != 1 else ' has'} another label now, {n_removed} left "
        f"{journal.data_path}.{told} "
        f"{version} `rootstock run` trains on it; `rootstock data relabel --undo` takes it back."
    )


def _keep_version(project: Path, data_path: str) -> str:
    """Track the data set as it is now with DVC, where it can be; return what the user should know."""
    tracked = data_source.dvc_file(project, data_path)
    if tracked is not None:
        dvc_commands.add(project, str(tracked.with_suffix("")))
        return f"{tracked} describes this version; commit it to keep it."
    if git_commands.tracks(project, data_path):
        return f"{data_path} is tracked by git; commit it to keep this version."
    return data_source.track(project, data_path) or ""
