"""Move images between class folders so that a move that was cut off can be finished or taken back.

What is to be moved is written down first, in a journal that is flushed to the disk. Each file is then renamed, which
the file system does wholly or not at all; whoever comes after a kill reads the journal and finds which files are where.
Files that leave the data set are kept beside the journal, so that everything can be taken back later too.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from adapters.json_files import atomic_write, read_plain_json, sha256_of, write_plain_json
from adapters.project import state_folder
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
class Journal:
    """A relabelling.

    Args:
        folder: that holds its journal and the files that it removed.
        data_path: as params.yaml names the data set.
        moves: in order.
        state: moving or undoing where it was cut off, applied or undone where it ended.
    """

    folder: Path
    data_path: str
    moves: tuple[Move, ...]
    state: str

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


def begin(project: Path, data_path: str, moves: Sequence[Move]) -> Journal:
    """Write a journal down; nothing has moved yet."""
    number = max((one.number for one in journals(project)), default=0) + 1
    journal = Journal(_folder(project) / f"{number:04d}", data_path, tuple(moves), MOVING)
    _write(journal)
    return journal


def carry_out(project: Path, journal: Journal) -> None:
    """Move what has not moved yet.

    Raises:
        EnvironmentFault: a file is in neither place, or its new place is taken.
    """
    _move_all(_places(project, journal))


def take_back(project: Path, journal: Journal) -> None:
    """Move everything back that has moved.

    Raises:
        UserError: it was applied, and the data set has changed since so that it cannot be; nothing has moved then.
        EnvironmentFault: a file is in neither place, or its old place is taken.
    """
    back = [(target, source, sha256) for source, target, sha256 in reversed(_places(project, journal))]
    if journal.state == APPLIED:
        _require_unchanged(journal, back)
    _write(Journal(journal.folder, journal.data_path, journal.moves, UNDOING))
    _move_all(back)


def end(journal: Journal, state: str) -> None:
    """Write down that a relabelling is applied or undone."""
    _write(Journal(journal.folder, journal.data_path, journal.moves, state))


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


def _require_unchanged(journal: Journal, places: Iterable[tuple[Path, Path, str]]) -> None:
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
    for folder in touched:
        _flush(folder)


def _move(source: Path, target: Path, sha256: str) -> None:
    """Move a file, unless it is there already, by an earlier attempt or because it stays where it is."""
    if source == target:
        return
    is_there = os.path.lexists(target)
    if is_there and (not os.path.lexists(source) or target.is_file()) and not _is(target, sha256):
        raise FileExistsError(0, "another file has that name by now")
    if not os.path.lexists(source):
        if not is_there:
            raise FileNotFoundError(0, "it is in neither place")
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


def _flush(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    if not folder.is_dir():
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(journal: Journal) -> None:
    moves = [asdict(move) for move in journal.moves]
    plain = {"state": journal.state, "data_path": journal.data_path, "moves": moves}
    write_plain_json(journal.folder / _JOURNAL, plain)


def _read(path: Path) -> Journal:
    plain = read_plain_json(path)
    try:
        moves = tuple(Move(**one) for one in plain["moves"])
        return Journal(path.parent, plain["data_path"], moves, plain["state"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is no journal of a relabelling ({error}); restore it from a copy.") from error
