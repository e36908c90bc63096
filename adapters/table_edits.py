"""Write a changed table of a data set, and make sure that nothing but what was meant has changed in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.json_files import sha256_of
from adapters.label_tables import LabelTable, decoded, read_label_table
from adapters.table_parquet import write_changed
from adapters.table_text import TableEdit, changed_csv, changed_json_lines
from transfer.errors import UserError


def write_edited(source: Path, target: Path, edit: TableEdit) -> None:
    """Write a table with its changes into another file.

    Of CSV and JSON lines every other byte stays. Of Parquet types, metadata, row groups and compression stay.

    Args:
        source: the table.
        target: what is there is replaced.
        edit: what changes.

    Raises:
        UserError: the table is another one by now, or cannot be written with these changes alone.
    """
    if sha256_of(source) != edit.sha256:
        raise UserError(f"{source} has changed while it was read; run the same command again.")
    same = True
    if source.suffix.lower() == ".parquet":
        same = write_changed(source, target, edit)
    else:
        mark, encoding, text = decoded(source)
        changed = (changed_json_lines if source.suffix.lower() == ".jsonl" else changed_csv)(text, edit)
        target.write_bytes(mark + changed.encode(encoding))
    if not same or not _is_as_meant(read_label_table(source), read_label_table(target), edit):
        raise UserError(
            f"{source} cannot be written with these decisions alone, something else of it would change; change its "
            "labels and rows by hand."
        )


def _is_as_meant(before: LabelTable, after: LabelTable, edit: TableEdit) -> bool:
    return before.columns.keys() == after.columns.keys() and all(
        _are_same(_expected(values, edit, changes=name == edit.column), after.columns[name])
        for name, values in before.columns.items()
    )


def _expected(values: Sequence[Any], edit: TableEdit, *, changes: bool) -> list[Any]:
    new: Mapping[int, Any] = edit.texts | {row: values[other] for row, other in edit.like.items()} if changes else {}
    return [new.get(row, value) for row, value in enumerate(values) if row not in edit.removed]


def _are_same(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Say whether values are the same and of the same types; NaN is as NaN."""
    return len(before) == len(after) and all(map(_is_same, before, after))


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one == other or repr(one) == repr(other))
