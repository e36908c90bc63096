"""Small pictures of images, for pages that hold what they show."""

import io
import warnings

from PIL import Image

from transfer.data.decoding import decode

_ENLARGED = 4  # times at most: of a scan of 28 px the dots may be seen, not a blur
_QUALITY = 78


def thumbnail(content: bytes, side_px: int) -> bytes:
    """Return a JPEG of a whole image, upright, whose longer side has so many pixels, or fewer where it is tiny.

    Args:
        content: an image file.
        side_px: at least 1.

    Raises:
        UndecodableError: it is no image that can be read.
    """
    with warnings.catch_warnings():  # whoever described the file has told what there is to be told of it
        warnings.filterwarnings("ignore", module=r"PIL\.")
        image = decode(content)
    scale = min(side_px / max(image.size), _ENLARGED)
    width, height = (max(1, round(scale * length)) for length in image.size)
    filtered = Image.Resampling.LANCZOS if scale <= 1 else Image.Resampling.NEAREST
    stream = io.BytesIO()
    image.resize((width, height), filtered).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
