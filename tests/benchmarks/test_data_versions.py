"""Shards of the benchmark hold the images that went in, and a run is a line of its table."""

from pathlib import Path

import pytest

from benchmarks import data_versions


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["tar", "zip", "parquet"])
def test_what_is_packed_comes_back(tmp_path: Path, kind: str) -> None:
    images = {f"{number % 3}/{number}.png": bytes([number]) * (number + 1) for number in range(200)}
    data_versions._write(tmp_path / "data", images.items())
    data_versions._PACK[kind](tmp_path / "data", tmp_path / "packed")
    before = contents(tmp_path / "packed")
    assert len(before) <= data_versions.N_SHARDS
    data_versions._UNPACK[kind](tmp_path / "packed", tmp_path / "again")
    assert contents(tmp_path / "again") == images
    data_versions._write(tmp_path / "data", [("0/new.png", b"new")])
    data_versions._PACK[kind](tmp_path / "data", tmp_path / "packed")
    after = contents(tmp_path / "packed")
    assert len([name for name in after if after[name] != before.get(name)]) == 1  # an image changes its own shard


def test_a_run_is_a_line() -> None:
    run = {"arm": "tar", "images": 10_000, "megabytes": 9.2, "grown_mb": 1.25}
    run |= {step: (number + 0.4, 0.5) for number, step in enumerate(data_versions.STEPS)}
    line = data_versions.table([run]).splitlines()[2]
    assert line.startswith("| 10,000 | 64 tar shards by content | 0.4 (0.5) | 1.4 (0.5) | 2.4 (0.5) |")
    assert line.endswith("| 1.2 of 9.2 MB |")
