"""Keep what comparing the images of a data set told, so that only those are compared that are new.

    .rootstock/copies/<digest of folder and recipe>.near   a Parquet table behind its own digest, a row an image

One file a data set's folder, written whole and renamed. What is damaged or made in another way is not used: all images
are compared anew, and the file is written again.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import environment
from adapters.json_files import atomic_write, keep_newest
from adapters.kept_names import name_for, sealed, unsealed
from adapters.machine import processor
from adapters.project import state_folder
from transfer.errors import EnvironmentFault

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from transfer.data.near_duplicates import Found, Known, NearDuplicate

FOLDER, SUFFIX = "copies", ".near"
_MAGIC = b"NEAR\x00\x00\x00\x01"
_KEPT_FILES = 8


def copies_of(
    project: Path, data_path: Path, recipe: Mapping[str, Any], seek: "Callable[[Known | None], Found]"
) -> "tuple[NearDuplicate, ...]":
    """Return the copies among a data set's images, comparing those that are new; ROOTSTOCK_CACHE_GB=0 keeps nothing.

    Args:
        project: the project's folder.
        data_path: the data set's folder.
        recipe: JSON-able facts that the result depends on beside the images.
        seek: compares the images that there are now, given what is known of earlier ones.

    Raises:
        UserError: the variable is no number from 0 on.
    """
    if not environment.cache_gb():
        return seek(None).pairs
    path = state_folder(project) / FOLDER / f"{name_for(data_path, recipe, processor())}{SUFFIX}"
    known = _read(path)
    found = seek(known)
    if found.known is not known:
        with suppress(EnvironmentFault):  # a full disk costs comparing again and no run
            _write(path, found.known)
            keep_newest(path.parent, _KEPT_FILES, SUFFIX)
    else:
        with suppress(OSError):
            os.utime(path)  # what is used stays, though nothing in it changes
    return found.pairs


def _write(path: Path, known: "Known") -> None:
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    near, n = known.neighbours, len(known.neighbours.digests)
    of_others, of_pairs = near.counts, np.bincount(known.first, minlength=n)
    columns = [
        _fixed(near.digests.tobytes(), near.digests.itemsize),
        _fixed(near.codes.tobytes(), near.codes.shape[1]),
        pa.array(near.complete),
        _lists(of_others, near.others.astype(np.int32)),
        _lists(of_others, near.scores.astype(np.int16)),
        *(_lists(of_pairs, one) for one in (known.second.astype(np.int32), known.coarse, known.fine)),
    ]
    table = pa.table(columns, schema=_schema())
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd", use_dictionary=["coarse.list.element", "fine.list.element"])
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        stream.writelines(sealed(_MAGIC, sink.getvalue()))


def _fixed(content: bytes, n_bytes: int) -> "pa.Array":
    """Return a column of values that all have as many bytes."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.binary(n_bytes), len(content) // n_bytes, [None, pa.py_buffer(content)])


def _lists(counts: "NDArray[np.int64]", values: "NDArray[Any]") -> "pa.ListArray":
    import numpy as np
    import pyarrow as pa

    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), pa.array(values))


def _read(path: Path) -> "Known | None":
    """Return what is kept, None where nothing is that can be used."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return _known(parquet.read_table(pa.BufferReader(unsealed(_MAGIC, path.read_bytes()))))
    except (OSError, pa.ArrowException, ValueError):  # damaged, of another kind, or none
        return None


def _known(table: "pa.Table") -> "Known":
    """Return what a table holds.

    Raises:
        ValueError: other columns, other types, gaps, or what cannot be; pyarrow's own errors as well.
    """
    import numpy as np

    from transfer.data.lookalikes import CODE_LENGTH
    from transfer.data.near_duplicates import Known
    from transfer.data.neighbours import DIGEST_BYTES, Neighbours

    expected = _schema()
    if (table.schema.names, table.schema.types) != (expected.names, expected.types):
        raise ValueError("other columns, or of other types")
    if any(column.null_count for column in table.columns):
        raise ValueError("a column has gaps")
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    digests = np.frombuffer(_bytes_of(columns["digest"]), dtype=f"S{DIGEST_BYTES}")
    codes = np.frombuffer(_bytes_of(columns["code"]), dtype=np.int8).reshape(-1, CODE_LENGTH)
    counts, (others, scores) = _values_of(columns["others"], columns["scores"])
    per_image, (seconds, coarse, fine) = _values_of(columns["seconds"], columns["coarse"], columns["fine"])
    complete = columns["complete"].to_numpy(zero_copy_only=False)
    near = Neighbours(digests, codes, complete, counts, others.astype(np.int64), scores.astype(np.int64))
    first = np.repeat(np.arange(len(per_image)), per_image)
    return Known(near, first, seconds.astype(np.int64), coarse.astype(np.float32), fine.astype(np.float32))


def _schema() -> "pa.Schema":
    import pyarrow as pa

    from transfer.data.lookalikes import CODE_LENGTH
    from transfer.data.neighbours import DIGEST_BYTES

    kinds = {"digest": pa.binary(DIGEST_BYTES), "code": pa.binary(CODE_LENGTH), "complete": pa.bool_()}
    lists = {
        "others": pa.int32(),
        "scores": pa.int16(),
        "seconds": pa.int32(),
        "coarse": pa.float32(),
        "fine": pa.float32(),
    }
    return pa.schema([*kinds.items(), *((name, pa.list_(kind)) for name, kind in lists.items())])


def _bytes_of(column: Any) -> bytes:
    """Return the bytes of a column of values that all have as many, one after the other."""
    n_bytes, content = column.type.byte_width, memoryview(column.buffers()[1] or b"")
    return bytes(content[column.offset * n_bytes : (column.offset + len(column)) * n_bytes])


def _values_of(*columns: Any) -> "tuple[NDArray[np.int64], Sequence[NDArray[Any]]]":
    """Return how many values each row has in all of some columns of lists, and the values of each column.

    Raises:
        ValueError: the columns do not have as many.
    """
    import numpy as np

    lengths = [column.value_lengths().to_numpy(zero_copy_only=False) for column in columns]
    if not all(np.array_equal(one, lengths[0]) for one in lengths):
        raise ValueError("lists are not as long as others")
    return lengths[0].astype(np.int64), [column.flatten().to_numpy(zero_copy_only=True) for column in columns]
