"""What the data were like before is remembered when they change, and only then."""

import hashlib
from pathlib import Path

import pytest
import yaml

from adapters.digits import write_class_folders
from adapters.manifest_file import MANIFEST, read_frame
from adapters.previous_data import described, read_previous
from adapters.suite_folder import PREVIOUS
from tasks import manifest
from tasks.params import read_params
from tasks.previous_data import remember
from tasks.validate_tables import limits_of, readable_table
from transfer.data.encoding import grey_png

PATH, OLD, NEW = "data/digits", f"{'a' * 32}.dir", f"{'b' * 32}.dir"


def _lock(project: Path, data: str, manifest_md5: str, path: str = PATH) -> str:
    stage = {
        "cmd": "x",
        "deps": [{"path": "adapters/locks.py", "md5": "c" * 32}, {"path": path, "md5": data}],
        "params": {"params.yaml": {"data": {"path": path}}},
        "outs": [{"path": MANIFEST.as_posix(), "md5": manifest_md5}],
    }
    text = yaml.safe_dump({"schema": "2.0", "stages": {"manifest": stage}})
    (project / "dvc.lock").write_text(text)
    return text


@pytest.fixture
def before(project: Path) -> str:
    """Return the md5 of the manifest of a first version, which DVC's cache holds."""
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    write_class_folders(Path(PATH), ["even", "odd"] * 20, [grey_png(one, 16) for one in pixels])
    manifest.describe()
    content = MANIFEST.read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    place = project / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    return digest


def test_the_version_before_is_remembered_from_the_cache(project: Path, before: str) -> None:
    lock_before = _lock(project, OLD, before)
    readable = readable_table(read_frame(), limits_of(read_params().validate))
    MANIFEST.unlink()
    _lock(project, NEW, "d" * 32)
    assert remember(project, lock_before)
    assert read_previous(PATH) == described(readable, PATH, OLD)
    first = PREVIOUS.read_bytes()
    assert remember(project, lock_before)
    assert PREVIOUS.read_bytes() == first


def test_nothing_is_written_where_the_data_are_the_same_or_others_altogether(project: Path, before: str) -> None:
    lock_before = _lock(project, OLD, before)
    assert not remember(project, lock_before)  # other code or parameters make another manifest of the same data
    assert not remember(project, None)
    assert not remember(project, "no: [lock")
    _lock(project, NEW, "d" * 32, path="photos")
    assert not remember(project, lock_before)
    assert not PREVIOUS.exists()


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_without_the_manifest_of_then_the_file_stays(project: Path, before: str, content: bytes | None) -> None:
    lock_before = _lock(project, OLD, before)
    place = project / ".dvc/cache/files/md5" / before[:2] / before[2:]
    place.unlink()
    if content is not None:
        place.write_bytes(content)
    PREVIOUS.write_text("as it was")
    _lock(project, NEW, "d" * 32)
    assert not remember(project, lock_before)
    assert PREVIOUS.read_text() == "as it was"
