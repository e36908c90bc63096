"""What asks a cache of rows, and a folder of small images that is scanned."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.small_images import paint

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


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two classes with twelve small images and a broken file."""
    for number in range(12):
        paint(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", number)
    (tmp_path / "photos" / "a" / "broken.jpg").write_text("no image")
    return tmp_path / "photos"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files of this test be old enough to be trusted at once."""
    from adapters import described_files

    monkeypatch.setattr(described_files, "_SETTLED_NS", -1)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of files that are read from now on."""
    from adapters import image_files

    names: list[str] = []
    read = image_files.read_file

    def noted(place: Any, max_bytes: int) -> Any:
        names.append(Path(place.path).name)
        return read(place, max_bytes)

    monkeypatch.setattr(image_files, "read_file", noted)
    return names
