"""The manifest comes back as it was written, minus what is quarantined; anything else is refused with a sentence."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adapters.json_files import write_json
from adapters.manifest_file import SEALED, Header, read_columns, read_frame, read_header, read_manifest, write_manifest
from transfer.errors import UserError
from transfer.records import Row

HEADER = Header(("cat", "dog"), {".txt": 2}, ("train", "test"))
FACTS = {"width_px": "int32", "mode": "string"}


def _row(path: str, label: int, split: str, **more: Any) -> dict[str, Any]:
    fixed = {"path": path, "class_name": HEADER.classes[label], "label": label, "split": split, "group": path * 2}
    read = {"sha256": path * 4, "readable": True, "problem": "", "n_bytes": 10, "width_px": 3, "mode": "RGB"}
    return fixed | read | more


ROWS = [
    _row("a", 0, "train"),
    _row("b", 1, "test"),
    _row("c", 1, "", readable=False, problem="cut", width_px=None, mode=None),
    _row("d", 0, "test"),
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.parquet"
    write_manifest(path, ROWS, FACTS, HEADER)
    return path


def _quarantine(written: Path, paths: list[str]) -> Path:
    path = written.with_name("quarantine.json")
    write_json(path, {"paths": paths}, {"manifest": written})
    return path


def test_the_header_comes_back(written: Path) -> None:
    assert read_header(written) == HEADER


def test_pandas_reads_every_column(written: Path) -> None:
    frame = pd.read_parquet(written)
    assert frame["path"].tolist() == ["a", "b", "c", "d"]
    assert frame["width_px"].isna().tolist() == [False, False, True, False]
    assert frame.equals(read_frame(written))


def test_the_same_rows_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.parquet"
    write_manifest(again, ROWS, FACTS, HEADER)
    assert again.read_bytes() == written.read_bytes()


def test_unreadable_and_quarantined_rows_are_left_out(written: Path) -> None:
    manifest = read_manifest(written, _quarantine(written, ["c", "d"]))
    assert manifest.classes == ("cat", "dog")
    assert manifest.rows == (Row("a", 0, "train", "aaaa"), Row("b", SEALED, "test", "bbbb"))
    assert manifest.of_split("test") == (Row("b", SEALED, "test", "bbbb"),)
    assert manifest.of_split("val") == ()


def test_columns_come_back_in_the_order_of_the_rows(written: Path) -> None:
    manifest = read_manifest(written, _quarantine(written, []))
    columns = read_columns(manifest.rows[::-1], written)
    assert [row.path for row in manifest.rows[::-1]] == ["d", "b", "a"]
    assert {name: columns.pop(name) for name in ("copies", "user_group", "first_split")} == dict.fromkeys(
        ("copies", "user_group", "first_split"), [None] * 3
    )
    assert columns == {"group": ["dd", "bb", "aa"], "n_bytes": [10] * 3, "width_px": [3] * 3, "mode": ["RGB"] * 3}


def test_a_quarantine_list_of_another_manifest_is_refused(written: Path) -> None:
    quarantine = _quarantine(written, [])
    write_manifest(written, ROWS[:2], FACTS, HEADER)
    with pytest.raises(UserError, match="made from another"):
        read_manifest(written, quarantine)


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.parquet"
    with pytest.raises(UserError, match="is missing; run the manifest stage"):
        read_header(path)
    path.write_bytes(b"hello")
    with pytest.raises(UserError, match="is not a manifest"):
        read_header(path)
    pd.DataFrame({"path": ["a"]}).to_parquet(path)
    with pytest.raises(UserError, match="has version None"):
        read_frame(path)
