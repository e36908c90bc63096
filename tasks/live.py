"""What a terminal shows while a stage runs: its name, its seconds and the progress it reports; nothing elsewhere."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from adapters import environment
from adapters.project import state_folder

_DRAW_EVERY_S = 0.2


@contextlib.contextmanager
def shown(project: Path, stage: str) -> Iterator[Callable[[], None]]:
    """Yield a function to call while the stage runs; on a terminal it redraws a line from the stage's progress file."""
    path = state_folder(project) / "progress.json"
    path.unlink(missing_ok=True)
    environment.put(environment.PROGRESS_FILE, str(path))
    try:
        if sys.stderr.isatty():
            with _line(path, stage) as tick:
                yield tick
        else:
            yield _nothing
    finally:
        environment.drop(environment.PROGRESS_FILE)
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _line(path: Path, stage: str) -> Iterator[Callable[[], None]]:
    from rich.console import Console

    console, started = Console(stderr=True), time.monotonic()
    drawn_at = 0.0
    with console.status(stage) as status:

        def tick() -> None:
            nonlocal drawn_at
            now = time.monotonic()
            if now - drawn_at >= _DRAW_EVERY_S:
                drawn_at = now
                status.update(f"[bold]{stage:<10}[/] {now - started:5.1f} s  {_read(path)}")

        yield tick
    console.print(f"[green]✓[/] [bold]{stage:<10}[/] {time.monotonic() - started:5.1f} s")


def _read(path: Path) -> str:
    try:
        seen = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return f"{seen['text']} {seen['done']}/{seen['total']}"


def _nothing() -> None:
    return None
