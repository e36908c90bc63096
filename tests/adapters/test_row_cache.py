"""Rows come back byte for byte, are computed once, and give way when they take too much of the disk."""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters import row_cache
from adapters.row_cache import RowCache, open_cache
from adapters.row_segments import SUFFIX
from transfer.errors import UserError

RECIPE = {"kind": "test", "size": [3, 4]}
PLENTY = 10**9
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32]
KEYS = [f"{index:064x}" for index in range(30)]


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*/*{SUFFIX}"))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 5, 7), (9,), ()])
def test_a_hit_is_byte_for_byte_what_was_computed(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    n_bytes = torch.empty((), dtype=dtype).element_size()
    noise = torch.randint(0, 256, (30, *shape, n_bytes), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    values = noise.view(dtype).squeeze(-1)  # every bit pattern, NaN included
    calls: list[list[int]] = []

    def compute(missing: Sequence[int]) -> Iterator[torch.Tensor]:
        calls.append(list(missing))
        yield from values.split(11)

    first = RowCache(tmp_path, PLENTY).rows(RECIPE, KEYS, compute)
    second = RowCache(tmp_path, PLENTY).rows(RECIPE, KEYS, compute)
    for rows in (first, second):
        assert (rows.dtype, rows.shape) == (dtype, values.shape)
        assert torch.equal(rows.view(torch.uint8), values.view(torch.uint8))
    assert calls == [list(range(30))]


def test_only_missing_rows_are_computed_and_each_key_once(tmp_path: Path, row_source: Any, ask: Any) -> None:
    assert ask(tmp_path, row_source(KEYS[5:15])) == list(range(10))
    twice = row_source([*KEYS[10:20], KEYS[3], KEYS[17], KEYS[3]])
    assert ask(tmp_path, twice) == [5, 6, 7, 8, 9, 10]
    assert ask(tmp_path, row_source(KEYS[19:4:-1])) == []


def test_a_recipe_has_its_own_rows_and_can_be_read(tmp_path: Path, row_source: Any, ask: Any) -> None:
    source = row_source(KEYS[:3])
    assert ask(tmp_path, source, {"kind": "a", "size": 3}) == [0, 1, 2]
    assert ask(tmp_path, source, {"kind": "a", "size": 4}) == [0, 1, 2]
    assert ask(tmp_path, source, {"size": 3, "kind": "a"}) == []
    recipes = [json.loads(path.read_text()) for path in tmp_path.glob("*/recipe.json")]
    assert sorted(recipe["size"] for recipe in recipes) == [3, 4]


def test_no_keys_ask_for_an_empty_batch(tmp_path: Path) -> None:
    cache = RowCache(tmp_path, PLENTY)
    assert cache.rows(RECIPE, [], lambda missing: [torch.empty((len(missing), 3, 4))]).shape == (0, 3, 4)
    assert len(cache.rows(RECIPE, [], lambda _: [])) == 0
    assert _segments(tmp_path) == []


def test_many_rows_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_source: Any, ask: Any) -> None:
    monkeypatch.setattr(row_cache, "SEGMENT_BYTES", 12 * 8)
    ask(tmp_path, row_source(KEYS))
    assert len(_segments(tmp_path)) == 4
    assert ask(tmp_path, row_source(KEYS)) == []


def test_another_shape_for_the_same_recipe_is_computed_anew(tmp_path: Path, row_source: Any, ask: Any) -> None:
    ask(tmp_path, row_source(KEYS[:10]))
    other = row_source(KEYS, (5,))
    rows = RowCache(tmp_path, PLENTY).rows(RECIPE, KEYS, other)
    assert torch.equal(rows, other.all())
    assert ask(tmp_path, other) == []


@pytest.mark.parametrize(
    ("batches", "sentence"),
    [
        ([torch.zeros(2, 3)], "2 rows were computed, but 3 were missing"),
        ([torch.zeros(4, 3)], "more rows were computed than the 3"),
        ([torch.zeros(2, 3), torch.zeros(1, 4)], "after"),
        ([torch.zeros(3, 3, dtype=torch.float64)], "float64"),
    ],
)
def test_a_source_that_does_not_do_as_asked_is_a_mistake(tmp_path: Path, batches: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        RowCache(tmp_path, PLENTY).rows(RECIPE, KEYS[:3], lambda _: batches)


def test_what_was_computed_before_an_error_is_kept(tmp_path: Path, row_source: Any, ask: Any) -> None:
    source = row_source(KEYS)

    def failing(missing: Sequence[int]) -> Iterator[torch.Tensor]:
        for batch in source(missing):
            if len(source.computed) > 20:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        RowCache(tmp_path, PLENTY).rows(RECIPE, KEYS, failing)
    assert ask(tmp_path, source) == list(range(14, 30))


def _age(folder: Path, seconds: float) -> None:
    for path in _segments(folder):
        facts = path.stat()
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns - int(seconds * 1e9)))


def test_what_was_used_least_recently_goes_first(tmp_path: Path, row_source: Any, ask: Any) -> None:
    source = row_source(KEYS, (1000,))
    for name in "abc":
        ask(tmp_path, source, {"of": name})
        _age(tmp_path, 10)
    assert ask(tmp_path, source, {"of": "a"}) == []  # a use
    n_bytes = sum(path.stat().st_size for path in _segments(tmp_path))
    ask(tmp_path, source, {"of": "d"}, cap=n_bytes + 10_000)
    left = {json.loads(path.read_text())["of"] for path in tmp_path.glob("*/recipe.json")}
    assert left == {"a", "c", "d"}
    assert len(list(tmp_path.iterdir())) == 3


def test_the_cap_is_kept_and_rows_beyond_it_are_computed_again(tmp_path: Path, row_source: Any) -> None:
    source, cap = row_source([str(index) for index in range(100)], (1000,)), 50_000
    for turn in range(3):
        cache = RowCache(tmp_path, cap)
        source.computed.clear()
        assert torch.equal(cache.rows(RECIPE, source.keys, source), source.all())
        n_bytes = sum(path.stat().st_size for path in _segments(tmp_path))
        assert cap / 2 < n_bytes <= cap
        assert "is as large as it may be" in cache.note
        assert len(source.computed) == 100 if turn == 0 else 50 <= len(source.computed) < 70


def test_a_cap_of_zero_keeps_and_reads_nothing(tmp_path: Path, row_source: Any, ask: Any) -> None:
    source = row_source([*KEYS[:4], KEYS[0]])
    assert ask(tmp_path / "off", source, cap=0) == [0, 1, 2, 3]
    assert not (tmp_path / "off").exists()
    ask(tmp_path, source)
    assert ask(tmp_path, source, cap=0) == [0, 1, 2, 3]


def test_the_last_gigabyte_of_a_disk_is_left_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_source: Any, ask: Any
) -> None:
    ask(tmp_path, row_source(KEYS), {"of": "a"})
    monkeypatch.setattr(row_cache, "SPARE_BYTES", shutil.disk_usage(tmp_path).total)
    cache, source = RowCache(tmp_path, PLENTY), row_source(KEYS)
    assert torch.equal(cache.rows(RECIPE, KEYS, source), source.all())
    assert "last free gigabyte" in cache.note


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system with room for little."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder)
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a tiny file system")
    yield folder
    subprocess.run(("umount", folder), check=True)


def _asked(folder: Path, source: Any) -> str:
    """Ask for all rows, compare them, and return what the cache has to say."""
    cache = RowCache(folder, PLENTY)
    assert torch.equal(cache.rows(RECIPE, source.keys, source), source.all())
    return cache.note


def test_a_full_disk_costs_the_rows_and_nothing_else(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, row_source: Any
) -> None:
    monkeypatch.setattr(row_cache, "SPARE_BYTES", -(1 << 30))
    assert "No space left on device" in _asked(small_disk, row_source(KEYS, (10_000,)))
    assert [path.name for path in small_disk.glob("*/*")] == ["recipe.json"]
    assert _asked(small_disk, row_source(KEYS, (1000,))) == ""


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, row_source: Any) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limit[1]))
    try:
        note = _asked(tmp_path, row_source(KEYS, (1000,)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "File too large" in note
    assert [path.name for path in tmp_path.glob("*/*")] == ["recipe.json"]


def test_a_folder_that_cannot_be_written_costs_the_rows_and_nothing_else(tmp_path: Path, row_source: Any) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert "are not kept in" in _asked(tmp_path / "cache", row_source(KEYS))


@pytest.mark.parametrize(("text", "n_bytes"), [(None, 10e9), ("", 10e9), ("0.5", 5e8), ("0", 0), ("3", 3e9)])
def test_the_environment_sets_the_cap(
    project: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, n_bytes: float
) -> None:
    if text is not None:
        monkeypatch.setenv("ROOTSTOCK_CACHE_GB", text)
    assert open_cache(project)._max_bytes == n_bytes


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf", "10 GB"])
def test_a_cap_that_is_no_number_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ROOTSTOCK_CACHE_GB", text)
    with pytest.raises(UserError, match=rf"ROOTSTOCK_CACHE_GB is '{text}'; set it to the gigabytes"):
        open_cache(project)
