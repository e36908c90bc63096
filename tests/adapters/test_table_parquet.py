"""Parquet tables with changed labels keep what rows do not show: types, notes, compression, encodings."""

import datetime as dt
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from adapters.json_files import sha256_of
from adapters.table_edits import write_edited
from adapters.table_text import TableEdit
from transfer.errors import UserError

HUGGING = {"info": {"features": {"label": {"names": ["ant", "bee", "cat"], "_type": "ClassLabel"}}}}
NESTED = pa.struct([("x", pa.int8()), ("y", pa.list_(pa.string()))])


def _frame(n_rows: int) -> pa.Table:
    """Make a table with columns of many kinds."""
    labels = [place % 3 for place in range(n_rows)]
    when = [dt.datetime(2026, 1, 1, 0, 0, place) for place in range(n_rows)]  # noqa: DTZ001  of no zone
    table = pa.table(
        {
            "path": [f"{place}.png" for place in range(n_rows)],
            "label": pa.array(labels, pa.int64()),
            "kind": pa.array([f"k{label}" for label in labels]).dictionary_encode(),
            "weight": pa.array([place / 7 if place % 2 else None for place in range(n_rows)], pa.float32()),
            "when": pa.array(when, pa.timestamp("us", "UTC")),
            "price": pa.array([decimal.Decimal(place) / 4 for place in range(n_rows)], pa.decimal128(9, 2)),
            "bytes": [bytes([place, 0, 255]) for place in range(n_rows)],
            "nested": pa.array([{"x": place % 5, "y": ["a"] * (place % 3)} for place in range(n_rows)], NESTED),
        },
        metadata={"huggingface": json.dumps(HUGGING), "mine": "ü"},
    )
    noted = table.schema.field("weight").with_metadata({"unit": "kg"})
    return table.cast(table.schema.set(table.schema.get_field_index("weight"), noted))


def _facts(path: Path) -> tuple[Any, ...]:
    with parquet.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        columns = [group.column(number) for number in range(file.metadata.num_columns)]
        written = [(one.path_in_schema, one.compression, one.has_dictionary_page, one.is_stats_set) for one in columns]
        written += [(one.path_in_schema, one.physical_type, one.has_column_index, None) for one in columns]
        written += [(one.path_in_schema, *sorted(one.encodings), None) for one in columns]
        return file.metadata.format_version, file.schema_arrow.metadata, {*(file.metadata.metadata or {})}, written


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"row_group_size": 4, "compression": "zstd", "write_page_index": True},
        {"version": "1.0", "compression": {"path": "gzip", "label": "snappy", "nested.x": "brotli", "bytes": "lz4"}},
        {"use_dictionary": ["kind"], "write_statistics": ["path"], "compression": "none"},
        {"use_deprecated_int96_timestamps": True, "use_compliant_nested_type": False, "row_group_size": 1},
        {"store_schema": False},
        {
            "use_dictionary": ["kind"],
            "column_encoding": {
                "label": "DELTA_BINARY_PACKED",
                "path": "DELTA_BYTE_ARRAY",
                "weight": "BYTE_STREAM_SPLIT",
            },
        },
    ],
)
@pytest.mark.parametrize("column", ["label", "kind"])
def test_a_parquet_file_keeps_types_metadata_and_compression(
    tmp_path: Path, options: dict[str, Any], column: str
) -> None:
    source, target = tmp_path / "a.parquet", tmp_path / "b.parquet"
    parquet.write_table(_frame(10), source, **options)
    edit = TableEdit("a.parquet", sha256_of(source), column, {0: 1, 9: 3}, {}, frozenset((4, 5, 6, 7)))
    write_edited(source, target, edit)
    assert _facts(target) == _facts(source)
    before, after = (parquet.read_table(path) for path in (source, target))
    assert after.schema.equals(before.schema, check_metadata=True)
    rows = [row for row in before.to_pylist() if row["path"][0] not in "4567"]
    rows[0] |= {column: before[column][1].as_py()}
    rows[-1] |= {column: before[column][3].as_py()}
    assert after.to_pylist() == rows


def test_a_column_that_the_rows_were_sorted_by_is_no_longer_said_to_be(tmp_path: Path) -> None:
    source, target = tmp_path / "a.parquet", tmp_path / "b.parquet"
    keys = parquet.SortingColumn.from_ordering(_frame(6).schema, [("path", "ascending"), ("label", "ascending")])
    parquet.write_table(_frame(6), source, sorting_columns=keys)
    write_edited(source, target, TableEdit("a.parquet", sha256_of(source), "label", {0: 1}))
    assert parquet.ParquetFile(target).metadata.row_group(0).sorting_columns == keys[:1]


def test_notes_of_a_writer_that_is_not_arrows_stay(tmp_path: Path) -> None:
    source, target = tmp_path / "a.parquet", tmp_path / "b.parquet"
    table = pa.table({"path": ["a", "b"], "label": ["x", "y"]})
    with parquet.ParquetWriter(source, table.schema, store_schema=False) as writer:
        writer.add_key_value_metadata({"org.apache.spark.version": "3.5", "huggingface": json.dumps(HUGGING)})
        writer.write_table(table)
    write_edited(source, target, TableEdit("a.parquet", sha256_of(source), "label", {0: 1}))
    notes = [parquet.ParquetFile(path).metadata.metadata for path in (source, target)]
    assert notes[0] == notes[1]
    assert notes[0].keys() == {b"org.apache.spark.version", b"huggingface"}


def test_a_file_that_arrow_would_store_otherwise_is_refused(tmp_path: Path) -> None:
    """Other writers mark columns of texts as enumerations, which Arrow reads and would write as plain ones."""
    source = tmp_path / "a.parquet"
    table = pa.table({"path": ["a", "b"], "label": ["x", "y"], "note": ["p", "q"]})
    parquet.write_table(table, source, store_schema=False)
    text, enumeration = b"note\x25\x00\x4c\x1c\x00\x00", b"note\x25\x08\x4c\x4c\x00\x00"  # in the format's Thrift
    assert source.read_bytes().count(text) == 1
    source.write_bytes(source.read_bytes().replace(text, enumeration))
    assert "Enum" in str(parquet.ParquetFile(source).schema)
    with pytest.raises(
        UserError, match=r"a\.parquet cannot be written with these decisions alone, .*by hand"
    ) as refused:
        write_edited(source, tmp_path / "b.parquet", TableEdit("a.parquet", sha256_of(source), "label", {0: 1}))
    assert "\n" not in str(refused.value)


def test_types_are_told_by_their_meaning_not_by_the_words_of_a_writer(tmp_path: Path) -> None:
    """DuckDB says of 64-bit integers that they are; Polars calls the newest types the first version of the format."""
    source = tmp_path / "a.parquet"
    table = pa.table({"path": ["a", "b"], "label": ["x", "y"], "note": [1, 2], "tiny": pa.array([1, 2], pa.uint32())})
    parquet.write_table(table, source, store_schema=False)
    content = source.read_bytes()
    n_bytes = int.from_bytes(content[-8:-4], "little")
    pages, footer = content[: -8 - n_bytes], content[-8 - n_bytes : -8]
    assert footer.startswith(b"\x15\x04")
    assert footer.count(b"note\x00") == 1
    footer = b"\x15\x02" + footer[2:].replace(b"note\x00", b"note\x25\x24\x4c\xac\x13\x40\x11\x00\x00\x00")
    source.write_bytes(pages + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with parquet.ParquetFile(source) as file:
        assert (file.metadata.format_version, file.schema.column(2).logical_type.type) == ("1.0", "INT")
    write_edited(source, tmp_path / "b.parquet", TableEdit("a.parquet", sha256_of(source), "label", {0: 1}))
    after = parquet.read_table(tmp_path / "b.parquet")
    assert after.schema == table.schema
    assert after.to_pylist() == [{**row, "label": "y"} for row in table.to_pylist()]
