"""The embedded data set: scikit-learn's scanned digits, which come with its wheel and need no network."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GREY_LEVELS = 16  # of the scans: 0 to 16


@dataclass(frozen=True, slots=True)
class Scans:
    """Scanned digits.

    Args:
        pixels: uint8 (N, 8, 8), 0 to 255.
        digits: the digit that each scan shows, N values in [0, 10).
    """

    pixels: "NDArray[np.uint8]"
    digits: tuple[int, ...]


def read_scans() -> Scans:
    """Read the 1797 scans of the UCI optical recognition set.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    scans = load_digits()
    pixels = np.rint(scans.images * (255 / _GREY_LEVELS)).astype(np.uint8)
    return Scans(pixels, tuple(int(digit) for digit in scans.target))


def write_class_folders(
    folder: Path, class_names: Sequence[str], contents: Sequence[bytes], advance: Callable[[int], None] = lambda _: None
) -> None:
    """Write PNG files as <folder>/<class>/<index>.png, all of them or none: the folder appears when it is complete.

    Args:
        folder: what to make; one that is there already is replaced.
        class_names: class of each file.
        contents: bytes of each file.
        advance: called with 1 after each file.
    """
    building = folder.with_name(f".{folder.name}.part")
    replaced = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(building, ignore_errors=True)
    try:
        for index, (name, content) in enumerate(zip(class_names, contents, strict=True)):
            path = building / name / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            advance(1)
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
