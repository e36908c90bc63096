"""Change labels so that a change that was cut off can be finished or taken back.

What is to change is written down first, in a journal that is flushed to the disk. Images move between class folders,
tables are replaced (`adapters.replaced_files`): each file by a rename, which the file system does wholly or not at all;
whoever comes after a kill reads the journal and finds which files are where. Files that leave the data set and tables
as they were are kept beside the journal, so that everything can be taken back later too.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from adapters import replaced_files
from adapters.json_files import atomic_write, flush, read_plain_json, sha256_of, write_plain_json
from adapters.project import state_folder
from adapters.replaced_files import Replacement
from adapters.table_text import TableEdit
from transfer.errors import EnvironmentFault, UserError

MOVING, APPLIED, UNDOING, UNDONE = "moving", "applied", "undoing", "undone"
_JOURNAL, _REMOVED = "journal.json", "removed"
_ONE = "rootstock data relabel"


@dataclass(frozen=True, slots=True)
class Move:
    """A file that changes its place.

    Args:
        source: relative to the data set's folder.
        target: likewise; "" where it leaves the data set.
        sha256: of its bytes.
    """

    source: str
    target: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Decided:
    """An image whose label changes.

    Args:
        path: relative to the data set's folder, before the change.
        sha256: of its bytes.
        new_class: "" where it leaves the data set.
    """

    path: str
    sha256: str
    new_class: str


@dataclass(frozen=True, slots=True)
class Journal:
    """A relabelling.

    Args:
        folder: that holds its journal, the files that it removed, and tables as they were.
        data_path: as params.yaml names the data set.
        moves: of images, in order.
        state: moving or undoing where it was cut off, applied or undone where it ended.
        replaced: tables that get another content, after the moves.
        decided: every image whose label changes.
    """

    folder: Path
    data_path: str
    moves: tuple[Move, ...]
    state: str
    replaced: tuple[Replacement, ...] = ()
    decided: tuple[Decided, ...] = ()

    @property
    def number(self) -> int:
        """Return its number, from 1 in each project."""
        return int(self.folder.name)


def journals(project: Path) -> list[Journal]:
    """Return all relabellings of a project, the first one first.

    Raises:
        UserError: a journal cannot be read.
    """
    found = sorted(_folder(project).glob(f"*/{_JOURNAL}")) if _folder(project).is_dir() else []
    return [_read(path) for path in found]


def cut_off(project: Path) -> Journal | None:
    """Return the relabelling that was cut off; None where none was."""
    return next((one for one in journals(project) if one.state in (MOVING, UNDOING)), None)


def refuse_if_cut_off(project: Path) -> None:
    """Refuse to go on while some images of a relabelling have moved and others have not.

    Raises:
        UserError: it was cut off.
    """
    found = cut_off(project)
    if found is not None:
        raise UserError(
            f"Relabelling {found.number} of {found.data_path} was cut off in between; run `{_ONE}` to finish it, or "
            f"`{_ONE} --undo` to take it back."
        )


def begin(
    project: Path,
    data_path: str,
    moves: Sequence[Move],
    edits: Sequence[TableEdit] = (),
    decided: Sequence[Decided] = (),
) -> Journal:
    """Write a journal down; nothing of the data set has changed yet.

    Args:
        project: the project's folder.
        data_path: as params.yaml names the data set.
        moves: of images.
        edits: of tables.
        decided: every image whose label changes; those that move where none are named.

    Raises:
        UserError: a table has changed meanwhile, or cannot be written with its changes alone; nothing is left then.
        EnvironmentFault: the disk is full or cannot be written.
    """
    number = max((one.number for one in journals(project)), default=0) + 1
    folder = _folder(project) / f"{number:04d}"
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was cut off before its journal was there
    try:
        replaced = replaced_files.prepare(project / data_path, folder, edits)
        journal = Journal(folder, data_path, tuple(moves), MOVING, replaced, tuple(decided) or _decided(moves))
        _write(journal)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return journal


def carry_out(project: Path, journal: Journal) -> None:
    """Move and replace what has not been moved and replaced yet.

    Raises:
        EnvironmentFault: a file is in neither place, its new place is taken, or a table is another one by now.
    """
    _move_all(_places(project, journal))
    replaced_files.put(project / journal.data_path, journal.folder, journal.replaced, back=False)


def take_back(project: Path, journal: Journal) -> None:
    """Move everything back that has moved, and give tables their former bytes.

    Raises:
        UserError: it was applied, and the data set has changed since so that it cannot be; nothing has moved then.
        EnvironmentFault: a file is in neither place, its old place is taken, or a table is another one by now.
    """
    data = project / journal.data_path
    back = [(target, source, sha256) for source, target, sha256 in reversed(_places(project, journal))]
    if journal.state == APPLIED:
        _require_unchanged(journal, data, back)
    _write(replace(journal, state=UNDOING))
    replaced_files.put(data, journal.folder, journal.replaced, back=True)
    _move_all(back)


def end(journal: Journal, state: str) -> None:
    """Write down that a relabelling is applied or undone."""
    _write(replace(journal, state=state))
    replaced_files.forget(journal.folder, former=state == UNDONE)


def _folder(project: Path) -> Path:
    return project / state_folder(project).name / "relabel"


def _places(project: Path, journal: Journal) -> list[tuple[Path, Path, str]]:
    """Return where each file comes from, where it goes, and its digest."""
    data = project / journal.data_path
    removed = [journal.folder / _REMOVED / f"{place:06d}" for place in range(len(journal.moves))]
    return [
        (data / move.source, data / move.target if move.target else removed[place], move.sha256)
        for place, move in enumerate(journal.moves)
    ]


def _require_unchanged(journal: Journal, data: Path, places: Iterable[tuple[Path, Path, str]]) -> None:
    hindrance = replaced_files.hindrance(data, journal.folder, journal.replaced)
    if hindrance:
        raise UserError(
            f"Relabelling {journal.number} cannot be taken back: {hindrance}; change the labels by hand, or check an "
            "older version of the data set out with DVC instead."
        )
    for source, target, sha256 in places:
        if not os.path.lexists(source) or not _is(source, sha256) or os.path.lexists(target):
            raise UserError(
                f"Relabelling {journal.number} cannot be taken back: {source} is gone or has changed, or {target} is "
                "there again; check an older version of the data set out with DVC instead."
            )


def _move_all(places: Iterable[tuple[Path, Path, str]]) -> None:
    touched: set[Path] = set()
    for source, target, sha256 in places:
        try:
            _move(source, target, sha256)
        except OSError as error:
            raise EnvironmentFault(
                f"{source} cannot be moved to {target} ({error.strerror}); mend that and run `{_ONE}` to go on, or "
                f"`{_ONE} --undo` to take back what was moved."
            ) from error
        touched |= {source.parent, target.parent}
    for folder in filter(Path.is_dir, touched):
        flush(folder)


def _move(source: Path, target: Path, sha256: str) -> None:
    """Move a file, unless it is there already, by an earlier attempt or because it stays where it is."""
    if source == target:
        return
    is_left, is_there = os.path.lexists(source), os.path.lexists(target)
    if not is_left and not is_there:
        raise FileNotFoundError(0, "it is in neither place")
    if is_there and not (_is(target, sha256) and not (is_left and target.is_symlink())):  # no attempt leaves two links
        raise FileExistsError(0, "another file has that name by now")
    if not is_left:
        return
    if not is_there:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with atomic_write(target) as temporary:
                shutil.copyfile(source, temporary)
        else:
            return
    source.unlink()


def _is(path: Path, sha256: str) -> bool:
    return path.is_symlink() or (path.is_file() and sha256_of(path) == sha256)


def _decided(moves: Sequence[Move]) -> tuple[Decided, ...]:
    """Return what moves between class folders decide."""
    named = ((move, PurePosixPath(move.target).parent.name if move.target else "") for move in moves)
    return tuple(Decided(move.source, move.sha256, name) for move, name in named)


def _write(journal: Journal) -> None:
    plain = {
        "state": journal.state,
        "data_path": journal.data_path,
        "moves": [asdict(one) for one in journal.moves],
        "replaced": [asdict(one) for one in journal.replaced],
        "decided": [asdict(one) for one in journal.decided],
    }
    write_plain_json(journal.folder / _JOURNAL, plain)
    for folder in (journal.folder, journal.folder.parent):  # before anything of the data set changes
        flush(folder)


def _read(path: Path) -> Journal:
    plain = read_plain_json(path)
    try:
        moves = tuple(Move(**one) for one in plain["moves"])
        replaced = tuple(Replacement(**one) for one in plain.get("replaced", ()))
        decided = tuple(Decided(**one) for one in plain.get("decided", ())) or _decided(moves)
        return Journal(path.parent, plain["data_path"], moves, plain["state"], replaced, decided)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is no journal of a relabelling ({error}); restore it from a copy.") from error
