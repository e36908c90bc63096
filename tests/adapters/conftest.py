"""What asks a cache of rows."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

PLENTY = 10**9
RECIPE = {"kind": "test", "size": [3, 4]}


class RowSource:
    """Computes rows that depend on their key alone, and remembers which."""

    def __init__(self, keys: Sequence[str], shape: tuple[int, ...] = (3, 4), batch: int = 7) -> None:
        self.keys, self.shape, self.batch = list(keys), shape, batch
        self.computed: list[int] = []

    def all(self) -> Any:
        import torch

        return torch.stack([self._row(key) for key in self.keys])

    def __call__(self, missing: Sequence[int]) -> Iterator[Any]:
        import torch

        for start in range(0, len(missing), self.batch):
            part = missing[start : start + self.batch]
            self.computed += part
            yield torch.stack([self._row(self.keys[index]) for index in part])

    def _row(self, key: str) -> Any:
        import torch

        generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        return torch.randint(0, 256, self.shape, generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="session")
def row_source() -> type[RowSource]:
    """Return what computes the rows of keys, of a shape."""
    return RowSource


@pytest.fixture(scope="session")
def ask() -> Callable[..., list[int]]:
    """Return what asks a new cache for all rows, compares every byte, and returns the indices that were computed."""

    def ask(folder: Path, source: RowSource, recipe: dict[str, Any] | None = None, cap: int = PLENTY) -> list[int]:
        import torch

        from adapters.row_cache import RowCache

        source.computed.clear()
        rows = RowCache(folder, cap).rows(recipe or RECIPE, source.keys, source)
        assert torch.equal(rows, source.all())
        return list(source.computed)

    return ask
