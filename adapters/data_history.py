"""Which commits changed what DVC records of a data set."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters import data_records, git_copies
from adapters.data_records import Record
from adapters.dvc_lock import LOCK
from adapters.git_commands import ask

_FORMAT = "%H%x1f%cI%x1f%D%x1f%s"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that recorded another state of a data set than the one before it.

    Args:
        commit: its id.
        time: when it was made, ISO 8601.
        tags: that name it or a later one that recorded the same, sorted.
        subject: the first line of its message.
        record: the state.
    """

    commit: str
    time: str
    tags: tuple[str, ...]
    subject: str
    record: Record


def history(project: Path, path: str) -> Iterator[Commit]:
    """Yield the commits that are reached from HEAD and recorded another state, the newest first.

    Args:
        project: the project's folder.
        path: of the data set, as DVC has it.
    """
    outside = Path(path).is_absolute() or path.startswith("..")
    names = [LOCK] if outside else [f"{path}.dvc", LOCK]
    known: dict[object, Record] = {}
    waiting: Commit | None = None
    for commit, time, tags, subject in _log(project, names):
        texts = {name: git_copies.text_at(project, commit, name) for name in names}
        key = tuple(_of_path(text or "", path) if name == LOCK else text for name, text in texts.items())
        if key not in known:
            known[key] = data_records.record_of(path, texts.get)
        is_same = waiting is not None and waiting.record.digest == known[key].digest
        if waiting is not None and not is_same and waiting.record.digest is not None:
            yield waiting
        later = waiting.tags if waiting is not None and is_same else ()
        waiting = Commit(commit, time, tuple(sorted([*tags, *later])), subject, known[key])
    if waiting is not None and waiting.record.digest is not None:
        yield waiting


def _log(project: Path, names: Sequence[str]) -> Iterator[tuple[str, str, list[str], str]]:
    done = ask(project, "log", f"--format={_FORMAT}", "--", *(f":(literal){name}" for name in names))
    for line in done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else ():
        commit, time, decorations, subject = line.split("\x1f", 3)
        tags = [name.removeprefix("tag: ") for name in decorations.split(", ") if name.startswith("tag: ")]
        yield commit, time, tags, subject


def _of_path(lock: str, path: str) -> object:
    """Return the lines of a dvc.lock that say something of a path, or all of it where they cannot be told so easily.

    Parsing one takes a quarter of a second, and most commits change other lines of it.
    """
    return tuple(re.findall(rf"^ *- path: {re.escape(path)}\n((?: {{4,}}\w.*\n)*)", lock, re.MULTILINE)) or lock
