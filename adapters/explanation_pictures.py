"""Pictures of explanations: an image as the model sees it, and beside it what in it spoke for the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write
from adapters.pictures import INK, drawable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

PANEL_PX, _GAP_PX, _LINE_PX = 160, 6, 15
_TEXT_PX, _THUMBNAIL_PX = 11, 96
_COLOURS = 144  # of a palette: a third of the bytes of a photograph
_PASSED, _FAILED = "#0f766e", "#b91c1c"
_MOST_OPAQUE = 0.72


@dataclass(frozen=True, slots=True)
class Panel:
    """A map as it is drawn over its image.

    Args:
        values: float (S, S), at least 0.
        title: what it is.
        note: what its sanity check came to.
        passed: whether it passed.
    """

    values: "NDArray[Any]"
    title: str
    note: str
    passed: bool


def draw_strip(path: Path, pixels: "NDArray[Any]", headline: str, panels: Sequence[Panel]) -> None:
    """Draw an image and its maps side by side, each with its check; written atomically.

    Args:
        path: where it goes.
        pixels: uint8 (S, S, 3), RGB.
        headline: the answer in words.
        panels: the maps.
    """
    from PIL import Image, ImageDraw

    n_panels = 1 + len(panels)
    width = n_panels * PANEL_PX + (n_panels + 1) * _GAP_PX
    made = Image.new("RGB", (width, PANEL_PX + 2 * _GAP_PX + 3 * _LINE_PX), "white")
    draw, font = ImageDraw.Draw(made), _font()
    draw.text((_GAP_PX, _GAP_PX // 2), _fitting(headline, width - 2 * _GAP_PX, font), fill=INK, font=font)
    top = _GAP_PX + _LINE_PX
    made.paste(_enlarged(pixels), (_GAP_PX, top))
    draw.text((_GAP_PX, top + PANEL_PX + 1), "as the model sees it", fill=INK, font=font)
    for place, panel in enumerate(panels, 1):
        left = _GAP_PX + place * (PANEL_PX + _GAP_PX)
        made.paste(overlaid(pixels, panel.values), (left, top))
        draw.text((left, top + PANEL_PX + 1), _fitting(panel.title, PANEL_PX, font), fill=INK, font=font)
        colour = _PASSED if panel.passed else _FAILED
        note = _fitting(panel.note, PANEL_PX, font)
        draw.text((left, top + PANEL_PX + _LINE_PX), note, fill=colour, font=font)
    _save(made, path)


def draw_thumbnail(path: Path, pixels: "NDArray[Any]") -> None:
    """Draw an image alone, small; written atomically."""
    _save(_enlarged(pixels, _THUMBNAIL_PX), path)


def draw_montage(path: Path, strips: Sequence[Path], n_columns: int = 2) -> None:
    """Join strips into one picture, column by column; written atomically.

    Args:
        path: where it goes.
        strips: pictures of `draw_strip`, at least one.
        n_columns: at most.
    """
    from PIL import Image

    images = []
    for strip in strips:
        with Image.open(strip) as read:
            images.append(read.convert("RGB"))
    n_rows = -(-len(images) // n_columns)
    width, height = max(one.width for one in images), max(one.height for one in images)
    made = Image.new("RGB", (width * -(-len(images) // n_rows), height * n_rows), "white")
    for place, image in enumerate(images):
        made.paste(image, (width * (place // n_rows), height * (place % n_rows)))
    _save(made, path)


def overlaid(pixels: "NDArray[Any]", values: "NDArray[Any]") -> "Image":
    """Return an image in grey with a map over it: clear where nothing speaks, warm where most does.

    Args:
        pixels: uint8 (S, S, 3).
        values: float (S, S), at least 0; all 0 leaves the grey image.
    """
    import numpy as np
    from matplotlib import colormaps
    from PIL import Image

    shares = values / values.max() if values.max() > 0 else np.zeros_like(values)
    share = np.asarray(Image.fromarray(shares.astype(np.float32)).resize((PANEL_PX,) * 2, Image.Resampling.BILINEAR))
    share = share.clip(0, 1)[..., None]
    grey = np.asarray(_enlarged(pixels).convert("L"), dtype=np.float64)[..., None]
    warm = 255 * colormaps["inferno"](0.25 + 0.7 * share[..., 0])[..., :3]
    opaque = _MOST_OPAQUE * share**0.8
    return Image.fromarray(np.round((1 - opaque) * grey + opaque * warm).astype(np.uint8))


def _enlarged(pixels: "NDArray[Any]", side_px: int = PANEL_PX) -> "Image":
    from PIL import Image

    filtered = Image.Resampling.LANCZOS if pixels.shape[0] >= side_px else Image.Resampling.NEAREST
    return Image.fromarray(pixels).resize((side_px, side_px), filtered)


def _font() -> "FreeTypeFont":
    from matplotlib.font_manager import findfont
    from PIL import ImageFont

    return ImageFont.truetype(findfont("DejaVu Sans"), _TEXT_PX)


def _fitting(text: str, width_px: int, font: "FreeTypeFont") -> str:
    """Return a text cut in its middle until it fits."""
    text = drawable(text)
    shown, n_left = text, len(text)
    while font.getlength(shown) > width_px and n_left > 2:
        n_left -= 1
        shown = f"{text[: n_left - n_left // 2]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - n_left // 2 :]}"
    return shown


def _save(image: "Image", path: Path) -> None:
    from PIL import Image as Module

    plain = image.quantize(_COLOURS, method=Module.Quantize.MEDIANCUT, dither=Module.Dither.FLOYDSTEINBERG)
    with atomic_write(path) as temporary:
        plain.save(temporary, format="PNG", optimize=True)
