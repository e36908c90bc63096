"""Image files of a few pixels, each with its own content."""

from pathlib import Path

import numpy as np
from PIL import Image


def paint(path: Path, seed: int) -> None:
    """Write noise that a seed draws, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
