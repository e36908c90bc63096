"""Progress of a download: a bar in bytes on a terminal, nothing elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.published_weights import Report
    from transfer.backbones.reference import BackboneReference


@contextmanager
def shown_download(reference: "BackboneReference") -> "Iterator[Report]":
    """Yield what a download reports to; the bar appears with the first bytes, if any are needed.

    Args:
        reference: whose weights may be downloaded.
    """
    from adapters.published_weights import silent

    if not reference.is_published or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    row = bar.add_task(str(reference), total=None, start=False)

    def report(done: int, total: int | None) -> None:
        if not bar.live.is_started:
            bar.start()
            bar.start_task(row)
        bar.update(row, completed=done, total=total)

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()
