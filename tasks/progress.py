"""Progress of long work: a bar on a terminal, a line in a file for the pipeline around the stage, or silence."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from adapters import environment

if TYPE_CHECKING:
    from rich.progress import Progress as TerminalBar

_WRITE_EVERY_S = 0.2
_stopped = threading.Event()


class Progress:
    """Counts towards a total and shows it where somebody can see it."""

    def __init__(self, text: str, total: int | None) -> None:
        self.text, self.total, self.done = text, total, 0
        name = environment.get(environment.PROGRESS_FILE)
        self._file = Path(name) if name else None
        self._written_at = 0.0
        self._bar = None if self._file or not sys.stderr.isatty() else _terminal_bar()
        self._row = self._bar.add_task(text, total=total) if self._bar else None

    def advance(self, count: int = 1) -> None:
        """Say that `count` more units are done.

        Raises:
            KeyboardInterrupt: the work is to stop, see `stoppable`.
        """
        if _stopped.is_set():
            raise KeyboardInterrupt
        self.done += count
        if self._bar is not None and self._row is not None:
            self._bar.update(self._row, completed=self.done)
        elif self._file and time.monotonic() - self._written_at > _WRITE_EVERY_S:
            self._written_at = time.monotonic()
            self._write()

    def _write(self) -> None:
        if self._file:
            self._file.write_text(
                json.dumps({"text": self.text, "done": self.done, "total": self.total}), encoding="utf-8"
            )

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the finished bar behind."""
        if self._bar is not None:
            self._bar.stop()
        self._write()


@contextmanager
def progress(text: str, total: int | None) -> Iterator[Progress]:
    """Show the progress of a loop of `total` units."""
    with Progress(text, total) as shown:
        yield shown


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Yield what stops the work of all threads at its next bit of progress; past the block nothing is stopped any more.

    Ctrl-C reaches the main thread alone: the others would work to their end, while the process waits for them.
    """
    try:
        yield _stopped.set
    finally:
        _stopped.clear()


def _terminal_bar() -> "TerminalBar":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return RichProgress(*columns, console=Console(stderr=True))
