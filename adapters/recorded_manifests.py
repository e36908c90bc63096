"""The manifest that was made from a state of a data set, found by the md5 that a dvc.lock gives it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import dvc_cache, dvc_lock
from adapters.manifest_file import MANIFEST, read_header
from transfer.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STAGE = "manifest"
_OF_A_ROW = frozenset(("path", "class_name", "label", "split", "group", "sha256", "readable", "problem"))
_NO_NUMBER = frozenset(("exif_orientation",))  # an integer that names one of eight kinds


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a manifest says of every file, in its order.

    Args:
        paths: relative to the data set's folder.
        classes: a class name a row.
        splits: a split a row; "" for a file that cannot be read.
        digests: sha256 a row.
        numbers: fact -> a value a row, NaN where there is none.
        kinds: fact -> a text a row, "" where there is none.
    """

    paths: tuple[str, ...]
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    digests: tuple[str, ...]
    numbers: Mapping[str, "NDArray[np.float64]"]
    kinds: Mapping[str, tuple[str, ...]]


def md5_of_manifest(lock: str | None, path: str, digest: str) -> str | None:
    """Return the md5 of the manifest that was made from a state; None where a dvc.lock names another or none.

    Args:
        lock: text of the dvc.lock.
        path: of the data set, as DVC has it.
        digest: of the state, as DVC has it.
    """
    stage = dvc_lock.stages(lock).get(_STAGE)
    if not isinstance(stage, dict):
        return None
    read = {os.path.normpath(str(one.get("path"))): one.get("md5") for one in stage.get("deps", ())}
    if read.get(os.path.normpath(path)) != digest:
        return None
    return dvc_lock.made(stage, MANIFEST.as_posix())


def read_recorded(project: Path, md5: str) -> Recorded | None:
    """Read a manifest from DVC's cache; None where the cache does not hold it, or an older Rootstock wrote it.

    Args:
        project: the project's folder.
        md5: of the file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    place = dvc_cache.place_of(project, md5)
    if place is None:
        return None
    try:
        read_header(place)
        table = parquet.read_table(place)
    except (UserError, pa.ArrowException, OSError):
        return None
    texts = {name: _texts(table, name) for name in ("path", "class_name", "split", "sha256")}
    facts = [field for field in table.schema if field.name not in _OF_A_ROW]
    numbers = {one.name: _numbers(table, one.name) for one in facts if _is_number(one)}
    kinds = {one.name: _texts(table, one.name) for one in facts if pa.types.is_string(one.type)}
    return Recorded(texts["path"], texts["class_name"], texts["split"], texts["sha256"], numbers, kinds)


def _is_number(field: Any) -> bool:
    import pyarrow as pa

    kind = field.type
    return field.name not in _NO_NUMBER and (pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _texts(table: Any, name: str) -> tuple[str, ...]:
    return tuple(text or "" for text in table.column(name).to_pylist())


def _numbers(table: Any, name: str) -> "NDArray[np.float64]":
    import numpy as np
    import pyarrow as pa

    values = table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)
