"""Apply what a person decided of labels that looked wrong: a new version of the data set, which can be taken back."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from adapters import dvc_commands, environment, git_commands, relabelling
from adapters.class_folders import Listing
from adapters.dvc_cache import cache_folder
from adapters.image_files import list_images
from adapters.kept_labels import keep_labels
from adapters.locks import project_lock
from adapters.project import enter_project
from adapters.relabelling import Journal
from adapters.review_table import Decision, read_kept, read_table
from adapters.table_columns import TableChoice
from adapters.table_rows import refuse_protected
from tasks import data_source
from tasks.params import read_params
from tasks.relabel_plan import planned
from transfer.errors import UserError


def relabel(table: Path | None, *, undo: bool) -> None:
    """Apply a table of decisions, finish what was cut off, or take back what was done last.

    Args:
        table: None to finish or take back.
        undo: whether to take back.

    Raises:
        UserError: a decision is about no image of this version of the data set, a class is unknown, there is nothing
            to finish or take back; nothing has changed then.
        EnvironmentFault: a file cannot be moved or changed; what was done can be taken back.
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
    choice, place = TableChoice(**data.model_dump(exclude={"path"})), project / data_path
    listing = list_images(place, choice)
    left = _still_open(project, data_path, listing, decisions)
    plan = planned(place, listing, choice, left)
    before = len(decisions) - len(left)
    told = f" {before} decision{'' if before == 1 else 's'} had been applied before." if before else ""
    kept = read_kept(table)
    if not plan.decided:
        keep_labels(project, kept)
        told += f" {_kept_too(len(kept))}" if kept else ""
        print(f"Nothing to change: no line of {table} that is still open relabels or removes an image.{told}")
        return
    tables = [edit.table for edit in plan.edits]
    refuse_protected(place, tables, cache_folder(project))
    _keep_version(project, data_path, tables)
    journal = relabelling.begin(project, data_path, plan.moves, plan.edits, plan.decided)
    relabelling.carry_out(project, journal)
    keep_labels(project, kept)
    _ended(project, journal, told + (f" {_kept_too(len(kept))}" if kept else ""))


def _kept_too(n_labels: int) -> str:
    return f"{n_labels} label{' stays' if n_labels == 1 else 's stay'} as decided, not to be named again."


def _refuse_generated(project: Path, data_path: str) -> None:
    """Refuse a data set that is written again by a stage."""
    if data_source.is_stage_output(project, data_path):
        raise UserError(
            f"{data_path} is written by a stage of dvc.yaml, which would undo every decision; copy it, and name the "
            f"copy: `rootstock run data.path=...`."
        )


def _still_open(project: Path, data_path: str, listing: Listing, decisions: Sequence[Decision]) -> list[Decision]:
    """Return decisions that no earlier relabelling has carried out, or that somebody has taken back by hand since."""
    applied = [one for one in relabelling.journals(project) if one.state == relabelling.APPLIED]
    done = {(image.path, image.sha256) for one in applied if one.data_path == data_path for image in one.decided}
    classes = {file.path: file.class_name for file in listing.files}
    return [
        one
        for one in decisions
        if (one.path, one.sha256) not in done or classes.get(one.path, one.new_class) != one.new_class
    ]


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
    version = _keep_version(project, journal.data_path, _tables(journal))
    relabelling.end(journal, relabelling.UNDONE)
    n_images = len(journal.decided)
    print(
        f"Relabelling {journal.number} is taken back: {n_images} image{'' if n_images == 1 else 's'} of "
        f"{journal.data_path} {'is' if n_images == 1 else 'are'} labelled as before. {version}"
    )


def _last(project: Path) -> Journal | None:
    """Return the relabelling that was applied last."""
    applied = [one for one in relabelling.journals(project) if one.state == relabelling.APPLIED]
    return applied[-1] if applied else None


def _ended(project: Path, journal: Journal, told: str) -> None:
    """Track the new version, close the journal and tell what was done."""
    version = _keep_version(project, journal.data_path, _tables(journal))
    relabelling.end(journal, relabelling.APPLIED)
    n_removed = sum(not image.new_class for image in journal.decided)
    n_relabelled = len(journal.decided) - n_removed
    print(
        f"{n_relabelled} image{'s have' if n_relabelled != 1 else ' has'} another label now, {n_removed} left "
        f"{journal.data_path}.{_told_of_tables(journal, n_removed)}{told} "
        f"{version} `rootstock run` trains on it; `rootstock data relabel --undo` takes it back."
    )


def _told_of_tables(journal: Journal, n_removed: int) -> str:
    if not journal.replaced:
        return ""
    told = f" Changed: {' and '.join(_tables(journal))}"
    if n_removed and not journal.moves:
        what = "file whose row went still lies" if n_removed == 1 else "files whose rows went still lie"
        return f"{told}; the {what} there, and {'counts' if n_removed == 1 else 'count'} as ignored."
    return f"{told}."


def _tables(journal: Journal) -> list[str]:
    return [one.path for one in journal.replaced]


def _keep_version(project: Path, data_path: str, tables: Collection[str]) -> str:
    """Track the data set as it is now with DVC, where it can be; return what the user should know.

    Args:
        project: the project's folder.
        data_path: of the data set.
        tables: that change, within it; one may be tracked by itself.
    """
    places = [data_path, *(f"{data_path}/{table}" for table in tables)]
    tracked = dict.fromkeys(filter(None, (data_source.dvc_file(project, place) for place in places)))
    for file in tracked:
        dvc_commands.add(project, str(file.with_suffix("")))
    if tracked:
        one = len(tracked) == 1
        told = f"{' and '.join(map(str, tracked))} {'describes' if one else 'describe'} this version"
        return f"{told}; commit {'it' if one else 'them'} to keep it."
    if git_commands.tracks(project, data_path):
        return f"{data_path} is tracked by git; commit it to keep this version."
    return data_source.track(project, data_path) or ""
