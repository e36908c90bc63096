"""Turn an array of grey values into the bytes of an image file."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def grey_png(pixels: NDArray[np.uint8], size_px: int) -> bytes:
    """Enlarge a grey image bicubically and encode it as PNG; the same pixels give the same bytes.

    Args:
        pixels: uint8 (H, W).
        size_px: side of the square result.
    """
    image = Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=6)
    return stream.getvalue()
