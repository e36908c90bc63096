"""Replace files of a data set so that a replacement that was cut off can be finished or taken back.

The former bytes and the new ones lie beside a journal before anything changes. A file is replaced by one rename, so
that it is the former or the new one at any time, and whoever comes after a kill sees by its digest which of them it is.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from adapters.json_files import flush, sha256_of
from adapters.table_edits import write_edited
from adapters.table_text import TableEdit
from transfer.errors import EnvironmentFault, UserError

_BEFORE, _AFTER = "before", "after"
_ONE = "rootstock data relabel"
_OWN = 0o600  # until a copy has the rights of the table: who may not read that may not read the copy either


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file that gets another content.

    Args:
        path: relative to the data set's folder.
        before: sha256 of its former bytes.
        after: sha256 of its new bytes.
    """

    path: str
    before: str
    after: str


def prepare(data: Path, folder: Path, edits: Sequence[TableEdit]) -> tuple[Replacement, ...]:
    """Write former and new bytes of tables beside a journal; no table has changed yet.

    Args:
        data: the data set's folder.
        folder: of the journal.
        edits: what is to change in each table.

    Raises:
        UserError: a table is another one by now, or cannot be written with these changes alone.
        EnvironmentFault: the disk is full or cannot be written.
    """
    try:
        return tuple(_prepared(data, folder, place, edit) for place, edit in enumerate(edits))
    except OSError as error:
        raise EnvironmentFault(
            f"{folder} cannot hold the former and the new table ({error.strerror}); nothing has changed: mend that and "
            "run the same command again."
        ) from error


def put(data: Path, folder: Path, replaced: Sequence[Replacement], *, back: bool) -> None:
    """Put the new bytes, or the former ones, where they are not yet.

    Args:
        data: the data set's folder.
        folder: of the journal.
        replaced: what `prepare` returned.
        back: whether it is the former ones.

    Raises:
        EnvironmentFault: a file is neither the former nor the new one, or cannot be replaced.
    """
    for place, one in enumerate(replaced):
        wanted, other = (one.before, one.after) if back else (one.after, one.before)
        path, kept = data / one.path, _kept(folder, _BEFORE if back else _AFTER, place, one.path)
        try:
            _put(path, kept, wanted, other)
        except OSError as error:
            raise EnvironmentFault(
                f"{path} cannot be changed ({error.strerror}); mend that and run `{_ONE}` to go on, or `{_ONE} --undo` "
                f"to take back what was changed; what it was is kept in "
                f"{_kept(folder, _BEFORE, place, one.path)}."
            ) from error


def hindrance(data: Path, folder: Path, replaced: Sequence[Replacement]) -> str:
    """Return why former bytes cannot be put back, as a part of a sentence; "" where they can.

    Args:
        data: the data set's folder.
        folder: of the journal.
        replaced: what `prepare` returned.
    """
    for place, one in enumerate(replaced):
        kept = _kept(folder, _BEFORE, place, one.path)
        if _digest(data / one.path) != one.after:
            return f"{data / one.path} is gone or has changed since"
        if _digest(kept) != one.before:
            return f"{kept}, which kept what it was, is gone or damaged"
    return ""


def forget(folder: Path, *, former: bool) -> None:
    """Remove the new bytes beside a journal, which are in their place, and the former ones if they are too.

    Args:
        folder: of the journal.
        former: whether the former ones go as well.
    """
    for name in (_AFTER, _BEFORE) if former else (_AFTER,):
        shutil.rmtree(folder / name, ignore_errors=True)


def _prepared(data: Path, folder: Path, place: int, edit: TableEdit) -> Replacement:
    path = data / edit.table
    before, after = (_kept(folder, name, place, edit.table) for name in (_BEFORE, _AFTER))
    for kept in (before, after):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.touch(mode=_OWN)
    write_edited(path, after, edit)
    shutil.copyfile(path, before)
    if sha256_of(before) != edit.sha256:
        raise UserError(f"{path} has changed while it was read; run the same command again.")
    for kept in (before, after):
        shutil.copymode(path, kept)
        flush(kept)
        flush(kept.parent)
    return Replacement(edit.table, edit.sha256, sha256_of(after))


def _put(path: Path, kept: Path, wanted: str, other: str) -> None:
    temporary = path.with_name(f".{path.name}.relabel")  # the same each time, so that a kill leaves one at most
    found = _digest(path)
    if found not in (wanted, other):
        raise FileNotFoundError(0, "it is neither what it was nor what it is to be" if found else "it is gone")
    if found == other:
        temporary.unlink(missing_ok=True)  # what a kill left may be read-only
        temporary.touch(mode=_OWN)
        shutil.copyfile(kept, temporary)
        shutil.copymode(path, temporary)
        if sha256_of(temporary) != wanted:
            raise FileNotFoundError(0, f"{kept} is damaged")
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    temporary.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    return sha256_of(path) if path.is_file() else ""


def _kept(folder: Path, name: str, place: int, path: str) -> Path:
    return folder / name / f"{place:06d}{PurePosixPath(path).suffix}"
