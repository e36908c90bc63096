"""A shelf: the folder of all rows that one recipe made, in segments."""

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import write_plain_json
from adapters.machine import usable_cores
from adapters.row_segments import (
    SUFFIX,
    DamagedSegmentError,
    Layout,
    Segment,
    read_row,
    read_segment,
    write_segment,
)

if TYPE_CHECKING:
    from torch import Tensor

RECIPE = "recipe.json"
_MAX_THREADS, _THREADED_FROM_BYTES = 4, 8 << 20  # memory is soon the limit


class Shelf:
    """The rows of a recipe.

    Args:
        folder: where they are; made when the first are stored.
        recipe: written beside them, for people.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        self._folder, self._recipe = folder, recipe
        self.used: set[Path] = set()  # segments that were read or written through this object

    def read(self, places: Mapping[str, int], n_rows: int) -> "tuple[Tensor | None, list[int]]":
        """Return the rows that are stored and intact.

        Args:
            places: key -> the row it goes to.
            n_rows: of the result.

        Returns:
            (n_rows, *shape), of which only found rows mean something, or None when there are none; and the other
            places, ascending.
        """
        found = self._found(places)
        if not found:
            return None, sorted(places.values())
        layout = found[0][0].layout
        rows = empty_rows(layout, n_rows)
        bytes_of_row = row_views(rows)
        missing = set(places.values())
        for segment, wanted in found:
            if segment.layout != layout:
                continue
            damaged = _read(segment, [(place, bytes_of_row[row]) for place, row in wanted])
            missing -= {row for place, row in wanted if place not in damaged}
            if damaged:
                self._rewrite(segment)
            elif segment.path.exists():
                self.used.add(segment.path)
        return rows, sorted(missing)

    def write(self, layout: Layout, keys: Sequence[str], rows: Sequence[memoryview]) -> None:
        """Store rows as a segment.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
            EnvironmentFault: the same, said by the writer of the recipe.
        """
        for attempt in (1, 2):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                if not (self._folder / RECIPE).exists():
                    write_plain_json(self._folder / RECIPE, self._recipe)
                self.used.add(write_segment(self._folder, layout, keys, rows))
            except FileNotFoundError:  # another process found the shelf empty and removed it
                if attempt == 2:
                    raise
            else:
                return

    def clear(self) -> None:
        """Remove all rows."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.used.clear()

    def _found(self, places: Mapping[str, int]) -> list[tuple[Segment, list[tuple[int, int]]]]:
        """Return segments with the wanted rows they hold, as (place in the segment, place in the result)."""
        wanted, found = dict(places), []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                segment = read_segment(path)
            except DamagedSegmentError:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                continue
            except OSError:  # another process removed it, or it cannot be read
                continue
            held = [(place, wanted.pop(key)) for place, key in enumerate(segment.keys) if key in wanted]
            if held:
                found.append((segment, held))
        return found

    def _rewrite(self, segment: Segment) -> None:
        """Replace a segment by one of its intact rows."""
        row_bytes = segment.layout.row_bytes
        rows = [memoryview(bytearray(row_bytes)) for _ in segment.keys]
        damaged = _read(segment, list(enumerate(rows)))
        intact = [place for place in range(len(rows)) if place not in damaged]
        with suppress(OSError):
            if intact:
                keys = [segment.keys[place] for place in intact]
                written = write_segment(self._folder, segment.layout, keys, [rows[place] for place in intact])
                self.used.add(written)
            segment.path.unlink(missing_ok=True)


def empty_rows(layout: Layout, n_rows: int) -> "Tensor":
    """Return an uninitialised tensor (n_rows, *shape)."""
    import torch

    return torch.empty((n_rows, *layout.shape), dtype=getattr(torch, layout.dtype))


def layout_of(rows: "Tensor") -> Layout:
    """Return the layout of the rows of a tensor (N, *shape)."""
    return Layout(str(rows.dtype).removeprefix("torch."), tuple(rows.shape[1:]))


def row_views(rows: "Tensor") -> list[memoryview]:
    """Return the bytes of each row of a contiguous tensor (N, ...), N at least 1, without copying them."""
    import torch

    flat = rows.reshape(-1).view(torch.uint8).numpy().data
    row_bytes = len(flat) // len(rows)
    return [flat[start : start + row_bytes] for start in range(0, len(rows) * row_bytes, row_bytes)]


def _read(segment: Segment, wanted: Sequence[tuple[int, memoryview]]) -> set[int]:
    """Read rows into memory, by threads when there is much, and return the places of those that are damaged."""
    is_much = len(wanted) * segment.layout.row_bytes >= _THREADED_FROM_BYTES
    n_parts = min(usable_cores(), _MAX_THREADS) if is_much else 1
    size = -(-len(wanted) // n_parts)
    parts = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    if len(parts) == 1:
        return _read_part(segment, parts[0])
    with ThreadPoolExecutor(len(parts), thread_name_prefix="rows") as pool:
        return set().union(*pool.map(lambda part: _read_part(segment, part), parts))


def _read_part(segment: Segment, wanted: Sequence[tuple[int, memoryview]]) -> set[int]:
    damaged = {place for place, _ in wanted}
    with suppress(OSError), segment.path.open("rb", buffering=0) as stream:
        os.utime(stream.fileno())  # a hit is a use: what was used least recently goes first
        for place, into in wanted:
            if read_row(stream, segment, place, into):
                damaged.discard(place)
    return damaged
