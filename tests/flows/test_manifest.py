"""The flow `manifest` on its plain path, without a server."""

from pathlib import Path

from adapters.digits import write_class_folders
from adapters.manifest_file import MANIFEST, read_header
from flows.manifest import manifest
from transfer.data.encoding import grey_png


def test_the_flow_writes_the_manifest(mlflow_project: Path) -> None:
    import numpy as np

    contents = [grey_png(np.full((8, 8), value, dtype=np.uint8), 16) for value in range(40)]
    write_class_folders(Path("data/digits"), ["even", "odd"] * 20, contents)
    manifest.fn()
    assert MANIFEST.is_file()
    assert read_header().classes == ("even", "odd")
