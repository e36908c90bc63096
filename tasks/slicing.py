"""Slices of the test rows: by class, by what the manifest knows of an image, by columns of the user's."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adapters.json_files import write_json
from adapters.manifest_file import MANIFEST
from tasks.handoffs import SLICES
from tasks.tested import Tested, named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transfer.evaluation.slices import Slice

_PIXELS = ("width_px", "height_px")
_KNOWN = ("brightness", "mode", "format", "exif_orientation")
_NO_SLICE = (
    "group",
    "copies",
    "first_split",
    "perceptual_hash",
    "n_bytes",
    "shadow",
    "highlight",
    "sharpness",
)


def slices_of(rows: Tested) -> "tuple[Slice, ...]":
    """Return how the model does on every slice of what was tested."""
    from transfer.evaluation.slices import sliced

    return sliced(rows.predicted() == rows.actual, _columns(rows), rows.settings.confidence)


def write_slices(rows: Tested, found: "Sequence[Slice]") -> dict[str, Any]:
    """Write how the model does on every slice; return what metrics.json holds of the worst one.

    Args:
        rows: what was tested.
        found: its slices.
    """
    from transfer.evaluation.comparison import FEWEST
    from transfer.evaluation.slices import worst

    lowest = worst(found, rows.settings.confidence)
    surely = [f"{one.column} {one.part}" for one in found if one.worse]
    record: dict[str, Any] = {"fewest_images": FEWEST, "surely_worse": surely, "slices": [asdict(one) for one in found]}
    if lowest is None:
        write_json(SLICES, {**record, "worst": None}, {"manifest": MANIFEST})
        return {}
    one, interval = lowest
    write_json(SLICES, {**record, "worst": {**asdict(one), "accuracy": asdict(interval)}}, {"manifest": MANIFEST})
    about = {
        "worst_slice": f"{one.column} {one.part}",
        "worst_slice_n": one.n_rows,
        "n_slices_surely_worse": len(surely),
    }
    return about | named("worst_slice_accuracy", interval)


def _columns(rows: Tested) -> "dict[str, Mapping[str, NDArray[np.bool_]]]":
    from transfer.evaluation.slices import cut

    values = _values(rows)
    parts = {column: cut(of_column) for column, of_column in values.items()}
    of_classes = {name: rows.actual == label for label, name in enumerate(rows.classes)}
    return {"class": of_classes, **{column: own for column, own in parts.items() if own}}


def _values(rows: Tested) -> dict[str, Sequence[float | str | None]]:
    """Return what rows may have in common, column by column; the user's columns come last."""
    told = rows.columns
    width, height = (told[name] for name in _PIXELS)
    values: dict[str, Sequence[float | str | None]] = {
        "size_px": [(w * h) ** 0.5 for w, h in zip(width, height, strict=True)],
        "aspect": [w / h for w, h in zip(width, height, strict=True)],
        "detail": rows.answers.detail.tolist(),
        **{name: told[name] for name in _KNOWN},
    }
    others = [name for name in told if name not in (*_PIXELS, *_KNOWN, *_NO_SLICE)]
    return values | {name: [_plain(value) for value in told[name]] for name in others}


def _plain(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
