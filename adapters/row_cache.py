"""Keep rows that were computed from images (pixels, features, activations), so that no process computes them again.

    .rootstock/cache/<digest of a recipe>/recipe.json   what the rows of this shelf are
                                          <name>.rows   a segment: many rows, see `adapters.row_segments`

A recipe says everything the values depend on beside the image; the image is named by the digest of its bytes. So a row
is never out of date, and the folder can be removed at any time.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import environment
from adapters.project import state_folder
from adapters.row_segments import ITEM_BYTES, SUFFIX, Layout, remove_unfinished, segment_bytes
from adapters.row_shelf import RECIPE, Shelf, empty_rows, layout_of
from adapters.row_writer import RowWriter
from transfer.errors import EnvironmentFault

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "cache"
SEGMENT_BYTES = 64 << 20  # a killed run loses at most what it computed since the last so many bytes
SPARE_BYTES = 1 << 30  # left free on the disk: what a run must write goes before what it can compute again
_FORMAT = 1
_SEGMENTS_AT_CAP = 8


def open_cache(project: Path) -> "RowCache":
    """Return the project's cache; the environment variable ROOTSTOCK_CACHE_GB caps it, and 0 switches it off.

    Raises:
        UserError: the variable is no number from 0 on.
    """
    return RowCache(state_folder(project) / FOLDER, int(environment.cache_gb() * 1e9))


class RowCache:
    """Rows by recipe and key; what was used least recently goes first when they take too much of the disk.

    Several processes may use one folder at once. What cannot be stored is computed all the same; `note` says why it was
    not stored.

    Args:
        folder: of the cache; made when rows are stored.
        max_bytes: of all segments together; 0 neither reads nor stores any.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self.note = ""  # after a call: "", or a sentence why not all rows that it computed were stored

    def rows(
        self,
        recipe: Mapping[str, Any],
        keys: Sequence[str],
        compute: "Callable[[Sequence[int]], Iterable[Tensor]]",
    ) -> "Tensor":
        """Return row i for `keys[i]`, byte for byte as it was computed, in this process or an earlier one.

        Args:
            recipe: JSON-able facts that the values depend on beside the keys.
            keys: names of the images' contents; rows of equal keys are computed once.
            compute: called with the indices of rows that are not stored, ascending; yields them in that order, in
                batches (n, *shape) of one dtype: uint8, float16, bfloat16 or float32. Called at most once, unless the
                cache holds rows of another shape; with no index when there are no keys, to yield an empty batch.

        Returns:
            (len(keys), *shape), on the CPU; no memory is shared with the cache.

        Raises:
            ValueError: `compute` yields too few or too many rows, or rows that differ in shape or dtype.
        """
        self.note = ""
        shelf = Shelf(self._folder / _digest(recipe), recipe)
        places: dict[str, int] = {}
        for index, key in enumerate(keys):
            places.setdefault(key, index)
        rows, missing = shelf.read(places, len(keys)) if self._max_bytes else (None, list(places.values()))
        if rows is None or missing:
            try:
                rows = self._filled(shelf, keys, rows, missing, compute)
            except _OtherLayoutError:  # the recipe lacks something, or the files are not ours: trust what is computed
                shelf.clear()
                rows = self._filled(shelf, keys, None, list(places.values()), compute)
        for index, key in enumerate(keys):
            if places[key] != index:
                rows[index] = rows[places[key]]
        return rows

    def _filled(
        self,
        shelf: Shelf,
        keys: Sequence[str],
        rows: "Tensor | None",
        missing: Sequence[int],
        compute: "Callable[[Sequence[int]], Iterable[Tensor]]",
    ) -> "Tensor":
        """Compute the missing rows into `rows`, storing them meanwhile; what came before an error is stored."""
        stored, done = rows, 0
        limit = min(SEGMENT_BYTES, self._max_bytes // _SEGMENTS_AT_CAP) if self._max_bytes else None
        with RowWriter(lambda *segment: self._store(shelf, *segment), limit) as writer:
            for batch in compute(missing):
                layout = layout_of(batch)
                if layout.dtype not in ITEM_BYTES:
                    raise ValueError(f"rows of {layout.dtype}; their dtype must be one of {', '.join(ITEM_BYTES)}")
                rows = empty_rows(layout, len(keys)) if rows is None else rows
                if done == 0 and missing:
                    writer.begin(rows)
                if layout != layout_of(rows):
                    raise _OtherLayoutError if rows is stored else ValueError(f"{layout} after {layout_of(rows)}")
                indices = missing[done : done + len(batch)]
                if len(indices) < len(batch):
                    raise ValueError(f"more rows were computed than the {len(missing)} that were missing")
                done += len(batch)
                rows[_index(indices)] = batch.detach()
                writer.add(indices, [keys[index] for index in indices])
        if done < len(missing):
            raise ValueError(f"{done} rows were computed, but {len(missing)} were missing")
        return empty_rows(Layout("uint8", ()), 0) if rows is None else rows

    def _store(self, shelf: Shelf, layout: Layout, keys: Sequence[str], rows: Sequence[memoryview]) -> None:
        if self.note:
            return
        try:
            self.note = self._make_room(segment_bytes(layout, keys), shelf.used)
            if not self.note:
                shelf.write(layout, keys, rows)
        except (OSError, EnvironmentFault) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.note = f"Computed rows are not kept in {self._folder} ({reason}); later stages compute them again."

    def _make_room(self, n_bytes: int, used: set[Path]) -> str:
        """Remove the segments used least recently, but for `used`, until `n_bytes` more fit; else say why not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        segments = sorted(_segments(self._folder))
        room = self._max_bytes - sum(size for _, size, _ in segments)
        free = shutil.disk_usage(self._folder).free - SPARE_BYTES
        removable = [(size, path) for _, size, path in segments if path not in used]
        lacking = n_bytes - min(room, free)
        if lacking > sum(size for size, _ in removable):
            what = "is as large as it may be" if room < free else "leaves the disk its last free gigabyte"
            return f"{self._folder} {what}, so not all computed rows are kept; later stages compute them again."
        for size, path in removable:
            if lacking <= 0:
                break
            path.unlink(missing_ok=True)
            _remove_if_empty(path.parent)
            lacking -= size
        return ""


class _OtherLayoutError(Exception):
    """Stored rows have another shape or dtype than computed ones."""


def _digest(recipe: Mapping[str, Any]) -> str:
    text = json.dumps([_FORMAT, recipe], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _index(indices: Sequence[int]) -> slice | Sequence[int]:
    """Return a slice where it says the same: it copies rows at once."""
    if indices and indices[-1] - indices[0] == len(indices) - 1:
        return slice(indices[0], indices[-1] + 1)
    return indices


def _segments(folder: Path) -> list[tuple[int, int, Path]]:
    """Return when each segment was last used, its size in bytes and its path, removing what killed writers left."""
    found = []
    for shelf in folder.iterdir():
        remove_unfinished(shelf)
        for path in shelf.glob(f"*{SUFFIX}"):
            with suppress(OSError):  # another process removed it
                facts = path.stat()
                found.append((facts.st_mtime_ns, facts.st_size, path))
    return found


def _remove_if_empty(shelf: Path) -> None:
    with suppress(OSError):
        if not any(shelf.glob(f"*{SUFFIX}")):
            (shelf / RECIPE).unlink(missing_ok=True)
            shelf.rmdir()
