"""Gather computed rows into segments and store each in a thread of its own, while others are computed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from adapters.row_segments import Layout
from adapters.row_shelf import layout_of, row_views

if TYPE_CHECKING:
    from torch import Tensor

Store = Callable[[Layout, Sequence[str], Sequence[memoryview]], None]


class RowWriter:
    """Hands rows on as segments; leaving the context hands on the last ones, after an error too, and waits.

    Args:
        store: stores a segment; must not raise.
        segment_bytes: from how many bytes on rows make a segment; None stores nothing.
    """

    def __init__(self, store: Store, segment_bytes: int | None) -> None:
        self._store, self._segment_bytes = store, segment_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._views: list[memoryview] = []
        self._keys: list[str] = []
        self._pending: list[memoryview] = []

    def begin(self, rows: "Tensor") -> None:
        """Say which tensor the rows will be in; it must not change while this object is in use, but by `add`ed rows."""
        self._layout, self._views = layout_of(rows), row_views(rows)

    def add(self, indices: Sequence[int], keys: Sequence[str]) -> None:
        """Store the rows at `indices`, which hold their values now, under their keys."""
        if self._segment_bytes is None:
            return
        for index, key in zip(indices, keys, strict=True):
            self._keys.append(key)
            self._pending.append(self._views[index])
            if len(self._pending) * self._layout.row_bytes >= self._segment_bytes:
                self._hand_on()

    def _hand_on(self) -> None:
        self._thread.submit(self._store, self._layout, self._keys, self._pending)
        self._keys, self._pending = [], []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Store what is left and wait until all is stored."""
        if self._pending:
            self._hand_on()
        self._thread.shutdown(wait=True)
