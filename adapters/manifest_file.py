"""Write and read the manifest: a Parquet table with a row a file, and what the whole table needs to be understood."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write, read_json
from transfer.errors import UserError
from transfer.records import Row

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MANIFEST = Path("artifacts/manifest/manifest.parquet")
QUARANTINE = Path("artifacts/validate/quarantine.json")
TEST = "test"  # the split whose labels are sealed

SEALED = -1  # the label of a test row, until `adapters.sealed_labels` opens it

_VERSION, _LONGEST_REASON = 1, 200
_HEADER_KEY = b"rootstock"
_COLUMN_TYPES = {
    "path": "string",
    "class_name": "string",
    "label": "int32",
    "split": "string",
    "group": "string",
    "copies": "string",
    "user_group": "string",
    "first_split": "string",
    "sha256": "string",
    "readable": "bool",
    "problem": "string",
    "problem_kind": "string",
    "remarks": "string",
    "n_bytes": "int64",
}
_OF_SLICES = ("class", "size_px", "aspect", "detail")  # what slices are called that no column makes
_OF_A_ROW = ("path", "class_name", "label", "split", "sha256", "readable", "problem", "problem_kind", "remarks")


@dataclass(frozen=True, slots=True)
class Header:
    """What a manifest says about itself.

    Args:
        classes: class names; a row's label is an index into them.
        ignored: extension -> number of files of the data set's folder that are in no row.
        given_splits: the splits that the user's folders assign; empty when none does.
    """

    classes: tuple[str, ...]
    ignored: Mapping[str, int]
    given_splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The usable rows of a data set.

    Args:
        classes: class names; a row's label is an index into them.
        rows: readable and not quarantined, sorted by path; the label of a test row is `SEALED`.
    """

    classes: tuple[str, ...]
    rows: tuple[Row, ...]

    def of_split(self, split: str) -> tuple[Row, ...]:
        """Return the rows of one split, in the manifest's order; of "test" without their labels."""
        return tuple(row for row in self.rows if row.split == split)


def own_columns(columns: Mapping[str, str], fact_types: Mapping[str, str]) -> dict[str, str]:
    """Return the user's columns under the names that they have in a manifest: `given_` before those that are taken.

    Args:
        columns: name -> Arrow type.
        fact_types: the columns beyond the fixed ones -> Arrow type.

    Raises:
        UserError: two columns would have the same name.
    """
    taken = {*_COLUMN_TYPES, *fact_types, *_OF_SLICES}
    named = {f"given_{name}" if name in taken else name: kind for name, kind in columns.items()}
    if len(named) < len(columns):
        twice = next(name for name in columns if name in taken and f"given_{name}" in columns)
        raise UserError(
            f"The table's columns {twice} and given_{twice} have one name in the manifest; rename the second."
        )
    return named


def write_manifest(
    path: Path, rows: Sequence[Mapping[str, Any]], fact_types: Mapping[str, str], header: Header
) -> None:
    """Write the table atomically; the same rows give the same bytes.

    Args:
        path: the Parquet file.
        rows: column -> value; a missing fact becomes null.
        fact_types: the columns beyond the fixed ones -> Arrow type.
        header: goes into the file's metadata.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in {**_COLUMN_TYPES, **fact_types}.items()])
    about = {
        "version": _VERSION,
        "classes": header.classes,
        "ignored": dict(header.ignored),
        "given_splits": header.given_splits,
    }
    table = pa.Table.from_pylist(rows, schema=schema)
    table = table.replace_schema_metadata({_HEADER_KEY: json.dumps(about, sort_keys=True)})
    with atomic_write(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_header(path: Path = MANIFEST) -> Header:
    """Read what a manifest says about itself, without its rows.

    Raises:
        UserError: the file is missing, is no manifest, or has another version.
    """
    from pyarrow import parquet

    if not path.is_file():
        raise UserError(f"{path} is missing; run the manifest stage with `rootstock run` or `dvc repro`.")
    with _damage_told(path):
        schema = parquet.read_schema(path)
        about = json.loads((schema.metadata or {}).get(_HEADER_KEY, b"{}"))
        version = about.get("version")
    if version != _VERSION:
        raise UserError(f"{path} has version {version!r}, this code reads {_VERSION}; run `dvc repro` again.")
    with _damage_told(path):
        _check_columns(schema)
        return Header(tuple(map(str, about["classes"])), dict(about["ignored"]), tuple(about["given_splits"]))


def read_manifest(path: Path = MANIFEST, quarantine: Path = QUARANTINE) -> Manifest:
    """Read the rows that later stages may use: readable and not quarantined, test rows without their labels.

    Args:
        path: the Parquet file.
        quarantine: the list that the validate stage made from it.

    Raises:
        UserError: a file is missing, damaged, or the list was made from another manifest.
    """
    header = read_header(path)
    refused = set(read_json(quarantine, made_from={"manifest": path})["paths"])
    table = _read_table(path, columns=["path", "label", "split", "sha256", "readable"])
    rows = tuple(
        Row(row["path"], SEALED if row["split"] == TEST else row["label"], row["split"], row["sha256"])
        for row in table.to_pylist()
        if row["readable"] and row["path"] not in refused
    )
    return Manifest(header.classes, rows)


def read_label_of(path: Path = MANIFEST) -> dict[str, int]:
    """Read the labels of test rows: path -> class index. `adapters.sealed_labels` alone calls this.

    Raises:
        UserError: the file is missing, is no manifest, or has another version.
    """
    read_header(path)
    table = _read_table(path, columns=["path", "label"], filters=[("split", "=", TEST)])
    return dict(zip(table.column("path").to_pylist(), table.column("label").to_pylist(), strict=True))


def read_columns(rows: Sequence[Row], path: Path = MANIFEST) -> dict[str, list[Any]]:
    """Read what a manifest says of some rows beside what a row holds: facts, the group, columns of the user's.

    Args:
        rows: of the manifest.
        path: the Parquet file.

    Returns:
        Column -> a value a row, in the order of `rows`; None where there is none.

    Raises:
        UserError: the file is missing, is no manifest, or has another version.
    """
    import pyarrow as pa

    read_header(path)
    table = _read_table(path)
    place = {name: index for index, name in enumerate(table.column("path").to_pylist())}
    chosen = table.take(pa.array([place[row.path] for row in rows], pa.int64()))
    return {name: chosen.column(name).to_pylist() for name in table.column_names if name not in _OF_A_ROW}


def read_frame(path: Path = MANIFEST) -> "pd.DataFrame":
    """Read the whole table, unreadable rows included, as a data frame.

    Raises:
        UserError: the file is missing, is no manifest, or has another version.
    """
    import pandas as pd

    read_header(path)
    with _damage_told(path):
        return pd.read_parquet(path, engine="pyarrow", page_checksum_verification=True)


def _read_table(path: Path, **options: Any) -> "pa.Table":
    from pyarrow import parquet

    with _damage_told(path):
        return parquet.read_table(path, page_checksum_verification=True, **options)


def _check_columns(schema: "pa.Schema") -> None:
    """Refuse a table whose fixed columns are not all there as they were written.

    Raises:
        ValueError: names the first that is not.
    """
    import pyarrow as pa

    for name, kind in _COLUMN_TYPES.items():
        if schema.names.count(name) != 1 or schema.field(name).type != pa.type_for_alias(kind):
            raise ValueError(f"the column {name} is not of type {kind}")


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turn whatever a reader of a damaged file raises into a sentence."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise UserError(f"{path} is not a manifest ({reason}); delete it and run `dvc repro` again.") from error
