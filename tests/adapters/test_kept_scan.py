"""Unchanged files are not read again, changed ones are, and nobody can tell the difference from the result."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import described_files, image_files, kept_scan
from adapters.class_folders import FoundFile
from adapters.image_files import describe, list_images
from adapters.kept_scan import KeptScan
from tests.adapters.small_images import paint
from transfer.data.facts import FACT_TYPES

_AGES_AGO = 1_000_000_000


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the digests of what is decoded from now on."""
    digests: list[str] = []
    decode = image_files.decoded_content

    def noted(content: bytes, sha256: str) -> Any:
        digests.append(sha256)
        return decode(content, sha256)

    monkeypatch.setattr(image_files, "decoded_content", noted)
    return digests


def _scan(photos: Path, folder: Path | None) -> tuple[Any, ...]:
    return describe(photos, list_images(photos).files, kept=KeptScan(folder, FACT_TYPES))


def _tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


@pytest.mark.usefixtures("settled")
def test_files_that_did_not_change_are_not_read_again(photos: Path, tmp_path: Path, opened: list[str]) -> None:
    first = _scan(photos, tmp_path / "kept")
    assert len(opened) == 13
    tables = _tables(tmp_path / "kept")
    assert len(tables) == 1
    opened.clear()
    assert _scan(photos, tmp_path / "kept") == first == _scan(photos, None)
    assert len(opened) == 13  # those of the scan that keeps nothing
    assert _tables(tmp_path / "kept") == tables


@pytest.mark.usefixtures("settled")
def test_what_changed_came_or_went_is_read_and_forgotten(photos: Path, tmp_path: Path, opened: list[str]) -> None:
    _scan(photos, tmp_path / "kept")
    paint(photos / "a" / "0.png", 100)
    paint(photos / "b" / "new.png", 101)
    (photos / "b" / "1.png").unlink()
    opened.clear()
    second = _scan(photos, tmp_path / "kept")
    assert sorted(opened) == ["0.png", "new.png"]
    assert second == _scan(photos, None)
    assert len(_tables(tmp_path / "kept")) == 1
    opened.clear()
    assert (_scan(photos, tmp_path / "kept"), opened) == (second, [])


@pytest.mark.usefixtures("settled")
def test_a_change_that_hides_its_time_is_noticed(photos: Path, tmp_path: Path) -> None:
    path = photos / "a" / "0.png"
    before, facts = _scan(photos, tmp_path / "kept"), path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as long as before
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    after = _scan(photos, tmp_path / "kept")
    assert after == _scan(photos, None) != before


@pytest.mark.usefixtures("settled")
def test_what_was_moved_or_touched_is_read_and_not_decoded(photos: Path, tmp_path: Path, decoded: list[str]) -> None:
    _scan(photos, tmp_path / "kept")
    decoded.clear()
    (photos / "a" / "0.png").rename(photos / "b" / "moved.png")
    os.utime(photos / "b" / "3.png", ns=(_AGES_AGO, _AGES_AGO))
    (photos / "b" / "copy.png").write_bytes((photos / "a" / "2.png").read_bytes())
    second = _scan(photos, tmp_path / "kept")
    assert decoded == []
    assert second == _scan(photos, None)


def test_a_file_that_changed_a_moment_ago_is_not_trusted(photos: Path, tmp_path: Path, opened: list[str]) -> None:
    first = _scan(photos, tmp_path / "kept")
    opened.clear()
    assert _scan(photos, tmp_path / "kept") == first
    assert len(opened) == 13


def test_an_old_file_is_trusted_and_one_from_the_future_too(photos: Path) -> None:
    now = time.time_ns()
    old, hour = now - 10_000_000_000, 3_600_000_000_000
    assert described_files._is_settled((1, old, old, 1, 1))
    assert described_files._is_settled((1, now + hour, old, 1, 1))
    assert not described_files._is_settled((1, now, old, 1, 1))
    assert not described_files._is_settled((1, old, now - 1_000_000_000, 1, 1))
    assert photos.exists()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "longer"])
def test_a_damaged_table_is_removed_and_made_again(
    photos: Path, tmp_path: Path, damage: str, opened: list[str]
) -> None:
    first = _scan(photos, tmp_path / "kept")
    (table,) = _tables(tmp_path / "kept")
    whole = table.read_bytes()
    damaged = {
        "cut": whole[: len(whole) // 2],
        "flip": whole[:99] + bytes([whole[99] ^ 4]) + whole[100:],
        "empty": b"",
        "text": b"not a table",
        "longer": whole + b"x",
    }
    table.write_bytes(damaged[damage])
    opened.clear()
    assert _scan(photos, tmp_path / "kept") == first
    assert len(opened) == 13
    (made,) = _tables(tmp_path / "kept")
    assert made != table
    opened.clear()
    assert (_scan(photos, tmp_path / "kept"), opened) == (first, [])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), noise=st.binary(max_size=40))
def test_no_bytes_of_a_table_end_in_anything_but_rows_or_a_rebuild(
    place: float, noise: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    kept = KeptScan(folder, FACT_TYPES)
    kept.add("a", (1, 2, 3, 4, 5), described_files.Content("ab", 1, "It is broken.", kind="damaged"))
    kept.flush()
    (table,) = _tables(folder)
    whole = table.read_bytes()
    start = int(place * len(whole))
    changed = whole[:start] + noise + whole[start + len(noise) :]
    table.write_bytes(changed)
    found = KeptScan(folder, FACT_TYPES).find("a", (1, 2, 3, 4, 5))
    assert (found is not None) == (changed == whole)


def _scan_slowly(photos: Path, folder: Path, started: Any) -> None:
    kept_scan._FLUSHED_ROWS = 2

    def advance(_: int) -> None:
        started.set()
        time.sleep(0.02)

    image_files._PART = 1
    described_files._SETTLED_NS = -1
    describe(photos, list_images(photos).files, advance, KeptScan(folder, FACT_TYPES))


def _wait_for_tables(folder: Path, n_tables: int) -> None:
    until = time.monotonic() + 10
    while len(list(folder.glob("*.scan"))) < n_tables and time.monotonic() < until:
        time.sleep(0.005)


def test_a_killed_scan_leaves_what_it_read_and_nothing_half(photos: Path, tmp_path: Path) -> None:
    context, expected = multiprocessing.get_context("spawn"), _scan(photos, None)
    for n_tables, delay_s in ((0, 0.0), (1, 0.0), (1, 0.04)):
        started = context.Event()
        process = context.Process(target=_scan_slowly, args=(photos, tmp_path / "kept", started))
        process.start()
        started.wait(10)
        _wait_for_tables(tmp_path / "kept", n_tables)
        time.sleep(delay_s)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert not [path for path in _tables(tmp_path / "kept") if not path.name.endswith((".scan", ".writing"))]
    assert _tables(tmp_path / "kept")
    assert _scan(photos, tmp_path / "kept") == expected


def test_two_writers_at_once_agree(photos: Path, tmp_path: Path) -> None:
    context, expected = multiprocessing.get_context("spawn"), _scan(photos, None)
    started = [context.Event() for _ in range(2)]
    writers = [context.Process(target=_scan_slowly, args=(photos, tmp_path / "kept", event)) for event in started]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert _scan(photos, tmp_path / "kept") == expected


@pytest.mark.usefixtures("settled")
def test_an_interrupted_scan_keeps_what_it_read(
    photos: Path, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "_PART", 1)

    def interrupted(n_files: int) -> None:
        if n_files and len(opened) > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        describe(photos, list_images(photos).files, interrupted, KeptScan(tmp_path / "kept", FACT_TYPES))
    opened.clear()
    assert _scan(photos, tmp_path / "kept") == _scan(photos, None)
    assert len(opened) < 13 + 13


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    assert _scan(photos, tmp_path / "kept") == _scan(photos, None)


def test_a_file_that_changes_while_it_is_read_is_not_trusted(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(described_files, "_SETTLED_NS", -1)
    whole: Callable[..., bytes] = described_files._read_whole

    def reading(stream: Any, n_bytes: int, max_bytes: int) -> bytes:
        content = whole(stream, n_bytes, max_bytes)
        os.utime(photos / "a" / "0.png", ns=(_AGES_AGO, _AGES_AGO))
        return content

    file = FoundFile("a/0.png", "a", "")
    with monkeypatch.context() as patched:
        patched.setattr(described_files, "_read_whole", reading)
        describe(photos, [file], kept=KeptScan(tmp_path / "kept", FACT_TYPES))
    place = image_files.Places(photos).look_up("a/0.png")
    kept = KeptScan(tmp_path / "kept", FACT_TYPES)
    assert kept.find("a/0.png", place.signature) is None
    assert kept.of_bytes(described_files.digest_of((photos / "a" / "0.png").read_bytes())) is not None
