"""Change cells of a Parquet table: types, metadata, compression and the parts that rows lie in stay as they are."""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.table_text import TableEdit

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_ARROW = b"ARROW:schema"
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

    try:
        return _written(source, target, edit)
    except (pa.ArrowException, ValueError):  # a type or a compression that Arrow reads and does not write
        return False


def _written(source: Path, target: Path, edit: TableEdit) -> bool:
    from pyarrow import parquet

    with parquet.ParquetFile(source) as file:
        schema, noted = file.schema_arrow, file.metadata.metadata or {}
        with parquet.ParquetWriter(target, schema, **_as_written(file, edit.column)) as writer:
            if noted and _ARROW not in noted:
                writer.add_key_value_metadata({key.decode(): value.decode() for key, value in noted.items()})
            for part in _parts(file, edit):
                writer.write_table(part, row_group_size=len(part))
        with parquet.ParquetFile(target) as written:
            same = written.schema.equals(file.schema) and written.schema_arrow.equals(schema, check_metadata=True)
            return same and (written.metadata.metadata or {}).keys() == noted.keys()


def _parts(file: "parquet.ParquetFile", edit: TableEdit) -> "Iterator[pa.Table]":
    """Yield each row group as it is to be, one at a time: other columns may hold whole images."""
    import pyarrow as pa

    place = file.schema_arrow.get_field_index(edit.column)
    column, first = _column(file, edit), 0
    for number in range(file.num_row_groups):
        part = file.read_row_group(number)
        part = part.set_column(place, file.schema_arrow.field(place), column.slice(first, len(part)))
        kept = [row for row in range(len(part)) if first + row not in edit.removed]
        first += len(part)
        if kept:
            yield part if len(kept) == len(part) else part.take(pa.array(kept, pa.int64()))


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
    encoded = {one.path_in_schema: name for one in columns for name in _OTHERS if name in one.encodings}
    ordered = takewhile(lambda one: columns[one.column_index].path_in_schema != column, group.sorting_columns)
    return {
        "version": metadata.format_version,
        "compression": {one.path_in_schema: _codec(one.compression) for one in columns},
        "use_dictionary": [one.path_in_schema for one in columns if _DICTIONARIES & {*one.encodings}],
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
