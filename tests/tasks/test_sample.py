"""The embedded data set: scikit-learn's scans as PNG files, complete or not there at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapters.digits import read_scans, write_class_folders
from tasks import sample as steps


@pytest.fixture(scope="module")
def bunch() -> Any:
    from sklearn.datasets import load_digits

    return load_digits()


def test_scans_are_scikit_learns(bunch: Any) -> None:
    scans = read_scans()
    assert np.abs(scans.pixels / 255 * 16 - bunch.images).max() <= 16 / 255 / 2 + 1e-9
    assert scans.digits == tuple(bunch.target)


def test_every_scan_becomes_a_file_in_the_folder_of_its_digit(project: Path, bunch: Any) -> None:
    steps.write()
    written = sorted(Path("data/digits").glob("*/*.png"))
    assert len(written) == len(bunch.target)
    for path in written[::100]:
        index = int(path.stem)
        assert path.parent.name == str(bunch.target[index])
        scan = Image.fromarray(np.rint(bunch.images[index] * 255 / 16).astype(np.uint8))
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (32, 32))
            assert np.array_equal(image, scan.resize((32, 32), Image.Resampling.BICUBIC))
    assert [path.name for path in Path("data").iterdir()] == ["digits"]


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    write_class_folders(folder, ["1"], [b"old"])

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_class_folders(folder, ["2", "3"], [b"new", b"new"], interrupt)
    assert [path.read_bytes() for path in folder.rglob("*.png")] == [b"old"]
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_an_older_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    write_class_folders(folder, ["1", "1"], [b"old", b"old"])
    write_class_folders(folder, ["2"], [b"new"])
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.png")] == ["2/0000.png"]
