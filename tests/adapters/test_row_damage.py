"""Rows that damage, kills, forgers or other processes took are computed again, and never half of one is read."""

import fcntl
import json
import multiprocessing
import os
import random
import shutil
import signal
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters import row_cache
from adapters.row_cache import RowCache
from adapters.row_segments import SUFFIX, UNFINISHED

RECIPE = {"kind": "test", "size": [3, 4]}
PLENTY = 10**9
KEYS = [f"{index:064x}" for index in range(30)]
IN_A_PROCESS = multiprocessing.get_context("fork")


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*/*{SUFFIX}"))


def _in_process(work: Callable[[], object]) -> Any:
    """Start a process that does something; one thread, because OpenMP does not outlive a fork."""

    def run() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        torch.set_num_threads(1)
        work()
        os._exit(0)  # what other tests left to be ended at the exit of a process is not this one's to end

    process = IN_A_PROCESS.Process(target=run)
    process.start()
    return process


def test_another_process_finds_the_rows(tmp_path: Path, row_source: Any, ask: Any) -> None:
    process = _in_process(lambda: ask(tmp_path, row_source(KEYS)))
    process.join(30)
    assert process.exitcode == 0
    assert ask(tmp_path, row_source(KEYS)) == []


def test_writers_at_once_never_read_half_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_source: Any, ask: Any
) -> None:
    monkeypatch.setattr(row_cache, "SEGMENT_BYTES", 4096)
    keys = [f"{index}" for index in range(60)]

    def ask_often() -> None:
        for turn in range(10):
            shuffled = random.Random(f"{os.getpid()} {turn}").sample(keys, 40)
            ask(tmp_path, row_source(shuffled, (1000,)), cap=40_000)  # room for all but a third: evicted by each other

    writers = [_in_process(ask_often) for _ in range(3)]
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert not list(tmp_path.glob(f"*/*{UNFINISHED}"))


def test_a_killed_writer_leaves_whole_rows_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_source: Any, ask: Any
) -> None:
    monkeypatch.setattr(row_cache, "SEGMENT_BYTES", 100_000)  # 20 rows
    keys, draw = [f"{index}" for index in range(4000)], random.Random(5)

    def write() -> None:
        RowCache(tmp_path, PLENTY).rows(RECIPE, keys, row_source(keys, (5000,)))

    for turn in range(8):
        n_before = len(_segments(tmp_path))
        process = _in_process(write)
        while len(_segments(tmp_path)) < n_before + draw.randint(1, 4) and process.is_alive():
            time.sleep(0.001)
        time.sleep(draw.uniform(0.0, 0.01))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert ask(tmp_path, row_source([*keys[: 20 * (turn + 1)], f"new {turn}"], (5000,))) == [20 * (turn + 1)]
        assert not list(tmp_path.glob(f"*/*{UNFINISHED}"))


def test_what_a_living_writer_has_not_finished_stays(tmp_path: Path, row_source: Any, ask: Any) -> None:
    ask(tmp_path, row_source(KEYS[:2]))
    unfinished = _segments(tmp_path)[0].with_name(f"x{UNFINISHED}")
    with unfinished.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        ask(tmp_path, row_source(KEYS[:3]))
        assert unfinished.exists()
    ask(tmp_path, row_source(KEYS[:4]))
    assert not unfinished.exists()


def test_a_flipped_bit_anywhere_is_found_and_mended(tmp_path: Path, row_source: Any, ask: Any) -> None:
    source = row_source(KEYS[:6])
    ask(tmp_path, source)
    whole = _segments(tmp_path)[0].read_bytes()
    for place in range(0, len(whole), 11):
        shutil.rmtree(tmp_path)
        ask(tmp_path, source)
        (segment,) = _segments(tmp_path)
        content = bytearray(segment.read_bytes())
        content[place] ^= 1 << place % 8
        segment.write_bytes(content)
        computed = ask(tmp_path, source)
        assert len(computed) == (1 if place >= len(whole) - 72 else 6), place
        assert ask(tmp_path, source) == []
    assert len(_segments(tmp_path)) == 2


@pytest.mark.parametrize("length", [0, 1, 15, 16, 40, 300, -1])
def test_a_segment_cut_short_or_grown_counts_for_nothing(
    tmp_path: Path, length: int, row_source: Any, ask: Any
) -> None:
    source = row_source(KEYS[:6])
    ask(tmp_path, source)
    (segment,) = _segments(tmp_path)
    content = segment.read_bytes()
    segment.write_bytes(content + b"x" if length < 0 else content[:length])
    assert ask(tmp_path, source) == list(range(6))
    assert ask(tmp_path, source) == []
    assert not segment.exists()


HEADER = {"dtype": "uint8", "shape": [3, 4], "keys": KEYS[:1], "checksums": [zlib.crc32(bytes(12))]}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"dtype": ' + b"9" * 5000 + b"}",
        {**HEADER, "dtype": "object"},
        {**HEADER, "dtype": []},
        {**HEADER, "dtype": "__class__"},
        {**HEADER, "shape": [-3, -4]},
        {**HEADER, "shape": [True, 12]},
        {**HEADER, "shape": [2**40, 2**40]},
        {**HEADER, "shape": 12},
        {**HEADER, "shape": [12.0]},
        {**HEADER, "keys": [3]},
        {**HEADER, "keys": None},
        {**HEADER, "checksums": []},
        {**HEADER, "checksums": ["x"]},
    ],
    ids=lambda header: str(header)[:60],
)
def test_a_forged_header_is_never_a_crash(tmp_path: Path, header: Any, row_source: Any, ask: Any) -> None:
    source = row_source(KEYS[:1])
    ask(tmp_path, source)
    (segment,) = _segments(tmp_path)
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    segment.write_bytes(struct.pack("<8sII", b"ROWSEG1\n", len(text), zlib.crc32(text)) + text + bytes(12))
    assert ask(tmp_path, source) == [0]
    assert ask(tmp_path, source) == []


def test_a_shelf_that_is_removed_meanwhile_is_made_again(tmp_path: Path, row_source: Any, ask: Any) -> None:
    ask(tmp_path, row_source(KEYS[:5]))
    source = row_source(KEYS)

    def removing(missing: Sequence[int]) -> Iterator[torch.Tensor]:
        for folder in tmp_path.iterdir():
            shutil.rmtree(folder)
        yield from source(missing)

    assert torch.equal(RowCache(tmp_path, PLENTY).rows(RECIPE, KEYS, removing), source.all())
    assert ask(tmp_path, source) == list(range(5))
