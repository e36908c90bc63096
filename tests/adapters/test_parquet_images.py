"""Images inside Parquet files: which files are read, and what becomes of their other columns."""

import csv
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from adapters.parquet_images import find_shards, write_images


def _shard(place: Path, **columns: list[str | None]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": b"\x89PNG" + bytes([number])} for number in range(2)]
    parquet.write_table(pa.table({"image": images, **columns}), place)


def _written(source: Path, folder: Path) -> list[dict[str, str]]:
    folder.mkdir()
    write_images(find_shards(source), folder, {".png"}, 100)
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all((folder / row["file_name"]).read_bytes()[:4] == b"\x89PNG" for row in rows)
    return rows


def test_a_column_of_splits_counts_where_no_name_says_one(tmp_path: Path) -> None:
    _shard(tmp_path / "own/data.parquet", label=["a", "b"], split=["train", "test"])
    rows = _written(tmp_path / "own", tmp_path / "made")
    assert [row["split"] for row in rows] == ["train", "test"]
    assert list(rows[0]) == ["file_name", "split", "label"]
    _shard(tmp_path / "named/test-0.parquet", label=["a", "b"], split=["fold 1", None])
    assert [row["split"] for row in _written(tmp_path / "named", tmp_path / "other")] == ["test", "test"]


def test_a_file_and_a_folder_of_one_name_are_told_apart(tmp_path: Path) -> None:
    _shard(tmp_path / "set/train.parquet", label=["a", "b"])
    _shard(tmp_path / "set/train/0.parquet", label=["a", "b"])
    names = [row["file_name"] for row in _written(tmp_path / "set", tmp_path / "made")]
    assert len({*names}) == 4


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    _shard(tmp_path / ".hub/set/train-0.parquet", label=["a", "b"])  # the source itself may be hidden
    (tmp_path / ".hub/set/._train-0.parquet").write_bytes(b"\0\5\x16\7")
    _shard(tmp_path / ".hub/set/.cache/train-0.parquet", label=["a", "b"])
    assert [shard.stem for shard in find_shards(tmp_path / ".hub/set")] == ["train-0"]
