"""Tables as people save them: separators, encodings, quotes, JSON lines, Parquet; and damaged ones."""

import contextlib
import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from adapters import label_tables
from adapters.label_tables import read_label_table
from transfer.errors import UserError


def _read(folder: Path, content: bytes | str, name: str = "t.csv") -> dict[str, list[Any]]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {column: list(values) for column, values in read_label_table(path).columns.items()}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_usual_way_to_save_a_table_reads_the_same(
    tmp_path: Path, separator: str, encoding: str, end: str
) -> None:
    rows = [["path", " label "], ["ä/b.jpg", "Größe"], ["", ""][:0], ["c.jpg", 'say "a"; or, b|c\tand\na new line']]
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(rows)
    found = _read(tmp_path, text.getvalue().encode(encoding))
    assert found == {"path": ["ä/b.jpg", "c.jpg"], "label": ["Größe", 'say "a"; or, b|c\tand\na new line']}


def test_the_lines_of_rows_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('path,label\n\n"a\nb",x\nc,y\n')
    assert read_label_table(tmp_path / "t.csv").places == ["line 3", "line 5"]


def test_row_numbers_that_pandas_wrote_are_no_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a", "b"], "label": ["x", "y"]})
    frame.to_csv(tmp_path / "t.csv")
    frame.set_index("label", append=True).reset_index(level=1).to_parquet(tmp_path / "t.parquet")
    assert [*read_label_table(tmp_path / "t.csv").columns] == ["path", "label"]
    assert sorted(read_label_table(tmp_path / "t.parquet").columns) == ["label", "path"]


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.text("ab,;\"'\n\r =")),
        min_size=1,
    )
)
def test_what_python_writes_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("path", "label"), *rows])
    found = _read(tmp_path_factory.mktemp("t"), text.getvalue())
    assert list(zip(found["path"], found["label"], strict=True)) == rows


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"t.csv is empty; its first line must name the columns"),
        (b"\n \n", r"is empty"),
        (b"path,label\n", r"has no rows"),
        (b"path,label,label\na,b,c\n", r"two columns called 'label'"),
        (b"path,label\na,b,c\n", r"Line 2 of .*t.csv has 3 cells and its head 2, separated by ','; mend the line"),
        (b"path,label\na,b\nc\n", r"Line 3 .* has 1 cells"),
        (b'path,label\n"a,b\n', r"damaged near line 2 \(unexpected end of data\)"),
        (b'path,label\n"a"x,b\n', r"damaged near line 2"),
        (b"path,label\ncaf\xe9.jpg,a\n", r"not in UTF-8 \(line 2, .*\); save it as UTF-8"),
        (b"path,label\na\0,b\n", r"holds bytes that no text has"),
        (b"\xff\xfea", r"not in UTF-8"),
        (b"PK\x03\x04\x14\0\0\0", r"holds bytes that no text has"),
    ],
)
def test_damaged_tables_are_refused_with_their_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _read(tmp_path, content)


def test_json_lines_keep_lists_and_missing_keys(tmp_path: Path) -> None:
    rows = [{"file_name": "a", "label": 1, "tags": ["x"]}, {"file_name": "b", "score": 0.5}]
    found = _read(tmp_path, "\n".join(map(json.dumps, rows)) + "\n\n", "metadata.jsonl")
    assert found == {"file_name": ["a", "b"], "label": [1, None], "tags": [["x"], None], "score": [None, 0.5]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a": 1}\n{"a":', r"Line 2 of .* is no JSON"),
        ('{"a": "\\ud83d\\ude00"}\n{"a": "\\ud83d"}', r"Line 2 of .* is no JSON .*surrogates"),
        ("[1]", r"Line 1 of .* is no JSON object; write one like"),
        ("[" * 100_000, r"Line 1 of .* is no JSON"),
        ('{"\\ud800": 1}', r"Line 1 of .* is no JSON"),
        ("\n", r"has no rows"),
    ],
)
def test_damaged_json_is_refused_with_its_line(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _read(tmp_path, content, "t.jsonl")


def test_parquet_gives_plain_values_and_leaves_the_others(tmp_path: Path) -> None:
    table = pa.table(
        {
            "path": pa.array(["a", "b"]).dictionary_encode(),
            "label": pa.array([1, 0], pa.int8()),
            "tags": pa.array([["x"], None]),
            "when": pa.array([0, None], pa.timestamp("s")),
            "image": pa.array([{"bytes": b"x", "path": "a"}] * 2),
            "raw": pa.array([b"x", b"y"]),
        }
    )
    features = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), tmp_path / "t.parquet")
    found = read_label_table(tmp_path / "t.parquet")
    assert {name: list(values) for name, values in found.columns.items()} == {
        "path": ["a", "b"], "label": [1, 0], "tags": [["x"], None], "when": [pd.Timestamp(0), None],
    }  # fmt: skip
    assert found.names_of == {"label": ("no", "yes")}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 200 + b"PAR1", b"path,label\n"])
def test_damaged_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match=r"t.parquet is no Parquet file that can be read"):
        _read(tmp_path, content, "t.parquet")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_damage_by_chance_ends_in_a_table_or_a_sentence(tmp_path: Path, name: str) -> None:
    draw, frame = random.Random(0), pd.DataFrame({"path": ["a", "b"] * 9, "label": [1, 2] * 9, "x": [0.5, None] * 9})
    path = tmp_path / name
    {
        ".csv": frame.to_csv,
        ".jsonl": lambda at: frame.to_json(at, orient="records", lines=True),
        ".parquet": frame.to_parquet,
    }[path.suffix](path)
    whole = path.read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(content[: draw.choice((len(content), draw.randrange(len(content))))])
        with contextlib.suppress(UserError):
            table = read_label_table(path)
            assert {len(values) for values in table.columns.values()} <= {len(table.places)}


def test_parquet_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_tables, "MOST_ROWS", 1000)
    parquet.write_table(pa.table({"path": ["a"] * 1001}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"1,001 rows .*at most 1,000 rows"):
        read_label_table(tmp_path / "t.parquet")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        read_label_table(tmp_path / "t.csv")


def test_a_table_changes_no_setting_of_other_readers(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    for text in ("image,label\na.png,x\n", 'image,label\n"a.png,x\n'):
        (tmp_path / "labels.csv").write_text(text)
        with contextlib.suppress(UserError):
            read_label_table(tmp_path / "labels.csv")
        assert csv.field_size_limit() == before
