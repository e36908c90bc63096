"""Keep what reading the files of a data set told, so that a file that did not change is not read again.

    .rootstock/scans/<digest of folder and recipe>/<name>.scan   a Parquet table behind its own digest

A row is what a file's bytes are, with what the file system said of the file: size, times, inode, device. A file of
which it says the same is not opened; one of which it says something else is read, and only decoded if its bytes are
unknown. A table is written whole under another name, flushed and renamed; a later one joins those before it. What is
damaged is removed, and what it held is read again.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapters import environment
from adapters.described_files import Content
from adapters.file_places import Signature
from adapters.kept_names import name_for, sealed, unsealed
from adapters.project import state_folder
from adapters.row_segments import remove_unfinished, write_whole

FOLDER, SUFFIX = "scans", ".scan"
UNREPEATABLE = ("out_of_memory", "unreadable", "gone", "not_a_file")  # kinds that say nothing about the bytes
_MAGIC = b"SCAN\x00\x00\x00\x01"
_FLUSHED_ROWS, _FLUSHED_BYTES = 1 << 14, 1 << 30  # what a killed run has to read again, at most
_KEPT_FOLDERS = 8
_SIGNATURE = ("n_stored", "content_ns", "any_ns", "inode", "device")
_CONTENT_TYPES = {"sha256": "string", "n_bytes": "int64", "kind": "string", "problem": "string", "remarks": "string"}


def open_scan(project: Path, data_path: Path, recipe: Mapping[str, Any], fact_types: Mapping[str, str]) -> "KeptScan":
    """Return what is kept of a data set's folder; ROOTSTOCK_CACHE_GB=0 keeps nothing.

    Args:
        project: the project's folder.
        data_path: the data set's folder.
        recipe: JSON-able facts that the result depends on beside a file's bytes.
        fact_types: column -> Arrow type of the facts.

    Raises:
        UserError: the variable is no number from 0 on.
    """
    name = name_for(data_path, recipe, list(fact_types.items()))
    folder = state_folder(project) / FOLDER / name if environment.cache_gb() else None
    if folder is not None:
        with suppress(OSError):  # there is none yet
            os.utime(folder)  # what is used stays, though nothing in it changes
    return KeptScan(folder, fact_types)


class KeptScan:
    """What is known of files: found by path and signature, or by the digest of the bytes.

    Several processes may use one folder at once: each adds tables, and replaces only those it has read.

    Args:
        folder: of the tables; made when the first is written. None keeps nothing.
        fact_types: column -> Arrow type of the facts.
    """

    def __init__(self, folder: Path | None, fact_types: Mapping[str, str]) -> None:
        self._folder, self._fact_types = folder, dict(fact_types)
        self._by_path: dict[str, tuple[Signature, Content]] = {}
        self._by_digest: dict[str, Content] = {}
        self._new: dict[str, tuple[Signature, Content]] = {}
        self._tables: list[Path] = []
        self._n_rows = self._n_new_bytes = 0
        for path in sorted(folder.glob(f"*{SUFFIX}")) if folder else ():
            self._take(path)

    def find(self, path: str, signature: Signature) -> Content | None:
        """Return what the bytes of a file are that the file system says has not changed; None when it is to be read."""
        known = self._by_path.get(path)
        return known[1] if known is not None and known[0] == signature else None

    def of_bytes(self, sha256: str) -> Content | None:
        """Return what bytes are that were decoded before, wherever."""
        return self._by_digest.get(sha256)

    def add(self, path: str, signature: Signature | None, content: Content) -> None:
        """Remember what a file is; without a signature only what its bytes are, for this scan.

        Args:
            path: relative to the data set's folder.
            signature: None where it does not tell a change.
            content: of the bytes that were read.
        """
        if content.kind in UNREPEATABLE:
            return
        if content.sha256:
            self._by_digest.setdefault(content.sha256, content)
        if signature is None:
            signature = (-1, 0, 0, 0, 0)  # of no file: the bytes alone will be known again
        self._by_path[path] = self._new[path] = (signature, content)
        self._n_new_bytes += content.n_bytes
        if len(self._new) >= _FLUSHED_ROWS or self._n_new_bytes >= _FLUSHED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was added since, as a table of its own."""
        if self._new:
            self._write(self._new)
        self._new, self._n_new_bytes = {}, 0

    def finish(self, paths: Sequence[str]) -> None:
        """Write what is known of the files that there are now as one table, unless that is on the disk already.

        Args:
            paths: of all files of the data set, relative to its folder.
        """
        known = {path: self._by_path[path] for path in paths if path in self._by_path}
        if not self._new and len(self._tables) <= 1 and len(known) == self._n_rows:
            return
        before = list(self._tables)
        if self._write(known) and self._folder is not None:
            for path in before:
                path.unlink(missing_ok=True)
            remove_unfinished(self._folder)
            _remove_oldest(self._folder.parent)

    def _take(self, path: Path) -> None:
        try:
            rows = list(_read(path, self._fact_types))
        except OSError:  # another process replaced it
            return
        except ValueError:
            path.unlink(missing_ok=True)
            return
        for name, signature, content in rows:
            self._by_path[name] = (signature, content)
            if content.sha256:
                self._by_digest.setdefault(content.sha256, content)
        self._tables.append(path)
        self._n_rows += len(rows)

    def _write(self, rows: Mapping[str, tuple[Signature, Content]]) -> bool:
        """Write a table, and say whether it is there: a full disk costs reading again and no run."""
        if self._folder is None:
            return False
        body = _packed(rows, self._fact_types)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._tables.append(write_whole(self._folder, SUFFIX, sealed(_MAGIC, body)))
        except OSError:
            return False
        return True


def _packed(rows: Mapping[str, tuple[Signature, Content]], fact_types: Mapping[str, str]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    contents = [content for _, content in rows.values()]
    columns: dict[str, Any] = {"path": pa.array(list(rows), pa.string())}
    for place, name in enumerate(_SIGNATURE):
        kind = pa.uint64() if name in ("inode", "device") else pa.int64()
        columns[name] = pa.array([signature[place] for signature, _ in rows.values()], kind)
    for name, alias in _CONTENT_TYPES.items():
        values = [",".join(one.remarks) if name == "remarks" else getattr(one, name) for one in contents]
        columns[name] = pa.array(values, pa.type_for_alias(alias))
    columns["decoded"] = pa.array([bool(one.facts) for one in contents], pa.bool_())
    for name, alias in fact_types.items():
        columns[f"fact:{name}"] = pa.array([one.facts.get(name) for one in contents], pa.type_for_alias(alias))
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns), sink, compression="zstd")
    return bytes(sink.getvalue())


def _read(path: Path, fact_types: Mapping[str, str]) -> Iterator[tuple[str, Signature, Content]]:
    """Yield the rows of a table.

    Raises:
        ValueError: it is damaged, or holds other columns.
        OSError: it is gone or cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    body = unsealed(_MAGIC, path.read_bytes())
    try:
        table = parquet.read_table(pa.BufferReader(body))
        columns = {name: _values(table.column(name)) for name in table.column_names}
        signatures = zip(*(columns[name] for name in _SIGNATURE), strict=True)
        plain = zip(*(columns[name] for name in _CONTENT_TYPES), columns["decoded"], strict=True)
        names = list(fact_types)
        facts = zip(*(columns[f"fact:{name}"] for name in names), strict=True)
    except (pa.ArrowException, KeyError) as error:
        raise ValueError(path) from error
    for name, signature, (sha256, n_bytes, kind, problem, remarks, decoded), values in zip(
        columns["path"], signatures, plain, facts, strict=True
    ):
        told = dict(zip(names, values, strict=True)) if decoded else {}
        words = tuple(remarks.split(",")) if remarks else ()
        yield name, signature, Content(sha256, n_bytes, problem, told, kind, words)


def _values(column: Any) -> list[Any]:
    """Return a column's values; without gaps by way of NumPy, which is five times as fast."""
    values: list[Any] = column.to_pylist() if column.null_count else column.to_numpy(zero_copy_only=False).tolist()
    return values


def _remove_oldest(folder: Path) -> None:
    """Keep the scans of the folders and recipes that were used last."""
    with suppress(OSError):
        newest_first = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        for old in newest_first[_KEPT_FOLDERS:]:
            shutil.rmtree(old, ignore_errors=True)
