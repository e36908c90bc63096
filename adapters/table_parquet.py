"""Change cells of a Parquet table: types, metadata, compression and the parts that rows lie in stay as they are."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.table_text import TableEdit

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_ARROW, _NEWEST = b"ARROW:schema", "2.6"
_DICTIONARIES = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_OTHERS = ("DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT")


def write_changed(source: Path, target: Path, edit: TableEdit) -> bool:
    """Write a Parquet table with its changes into another file.

    Args:
        source: that `adapters.label_tables.read_label_table` can read.
        target: what is there is replaced.
        edit: what changes.

    Returns:
        whether all columns are stored by the same types, and whatever is noted of them is noted again.
    """
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(source) as file:
        for version in dict.fromkeys(
            (file.metadata.format_version, _NEWEST)
        ):  # other writers put new types into old ones
            with suppress(pa.ArrowException, ValueError):  # a type or a compression that Arrow reads and does not write
                if _is_written(file, target, edit, version):
                    return True
    return False


def _is_written(file: "parquet.ParquetFile", target: Path, edit: TableEdit, version: str) -> bool:
    from pyarrow import parquet

    schema, noted = file.schema_arrow, file.metadata.metadata or {}
    with parquet.ParquetWriter(target, schema, version=version, **_as_written(file, edit.column)) as writer:
        if noted and _ARROW not in noted:
            writer.add_key_value_metadata({key.decode(): value.decode() for key, value in noted.items()})
        for part in _parts(file, edit):
            writer.write_table(part, row_group_size=len(part))
    with parquet.ParquetFile(target) as written:
        same = _kinds(written) == _kinds(file) and written.schema_arrow.equals(schema, check_metadata=True)
        return same and (written.metadata.metadata or {}).keys() == noted.keys()


def _kinds(file: "parquet.ParquetFile") -> list[tuple[Any, ...]]:
    """Return by which type each column is stored, whatever words a writer has for it."""
    columns = [file.schema.column(number) for number in range(file.metadata.num_columns)]
    lengths = [one.length if one.physical_type == "FIXED_LEN_BYTE_ARRAY" else 0 for one in columns]
    return [
        (one.path, one.physical_type, length, one.max_definition_level, one.max_repetition_level, _meaning(one))
        for one, length in zip(columns, lengths, strict=True)
    ]


def _meaning(column: Any) -> dict[str, Any]:
    """Return what a column's values mean beyond their physical type: of signed integers of its own width, nothing."""
    said: dict[str, Any] = json.loads(column.logical_type.to_json())
    if said.get("isSigned") and column.physical_type == f"INT{said['bitWidth']}":
        return {"Type": "None"}
    return {key: value for key, value in said.items() if not key.endswith("_converted_type")}


def _parts(file: "parquet.ParquetFile", edit: TableEdit) -> "Iterator[pa.Table]":
    """Yield each row group as it is to be, one at a time: other columns may hold whole images."""
    import pyarrow as pa

    place = file.schema_arrow.get_field_index(edit.column)
    column, first = _column(file, edit), 0
    for number in range(file.num_row_groups):
        part = file.read_row_group(number)
        part = part.set_column(place, file.schema_arrow.field(place), column.slice(first, len(part)))
        kept = [first + row not in edit.removed for row in range(len(part))]
        first += len(part)
        if any(kept):
            yield part if all(kept) else part.filter(pa.array(kept))


def _column(file: "parquet.ParquetFile", edit: TableEdit) -> "pa.ChunkedArray":
    """Return the whole column, no row removed."""
    import pyarrow as pa

    column = file.read(columns=[edit.column]).column(0).unify_dictionaries()
    column = column.take(pa.array([edit.like.get(row, row) for row in range(len(column))], pa.int64()))
    if not edit.texts:
        return column
    kind = column.type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    changed = pa.array([edit.texts.get(row, value) for row, value in enumerate(column.to_pylist())], plain)
    return pa.chunked_array([changed.dictionary_encode().cast(kind) if plain != kind else changed])


def _as_written(file: "parquet.ParquetFile", column: str) -> dict[str, Any]:
    """Return the options of a writer that lead to what a file has."""
    metadata = file.metadata
    group = metadata.row_group(0)
    columns = [group.column(number) for number in range(metadata.num_columns)]
    plain = [one for one in columns if not _DICTIONARIES & {*one.encodings}]
    encoded = {one.path_in_schema: name for one in plain for name in _OTHERS if name in one.encodings}
    ordered = takewhile(lambda one: columns[one.column_index].path_in_schema != column, group.sorting_columns)
    return {
        "compression": {one.path_in_schema: _codec(one.compression) for one in columns},
        "use_dictionary": [one.path_in_schema for one in columns if one not in plain],
        "column_encoding": encoded or None,
        "write_statistics": [one.path_in_schema for one in columns if one.is_stats_set],
        "write_page_index": any(one.has_column_index for one in columns),
        "sorting_columns": tuple(ordered) or None,
        "use_deprecated_int96_timestamps": any(one.physical_type == "INT96" for one in columns),
        "use_compliant_nested_type": not _names_items(one.path_in_schema for one in columns),
        "store_schema": _ARROW in (metadata.metadata or {}),
    }


def _codec(name: str) -> str:
    return "none" if name == "UNCOMPRESSED" else name.lower()


def _names_items(paths: Iterable[str]) -> bool:
    """Say whether elements of lists are called as Arrow once did and the format does not."""
    return any(".list.item" in path for path in paths)
