"""Examples of the manifest's rows: as many as a limit allows, prepared for a backbone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.image_files import load_examples, pixel_recipe
from tasks.kept_rows import kept_rows
from tasks.progress import progress
from transfer.records import Preprocess, Row

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.data.examples import Examples


def chosen_rows(rows: Sequence[Row], max_rows: int) -> tuple[Row, ...]:
    """Return rows sorted by path, at most `max_rows`: each class by its share, chosen by content so that reruns agree.

    One row of each class comes first, then another of each, because a class of one cannot be left out and recognised.

    Args:
        rows: what to choose from.
        max_rows: at least 1.
    """
    n_of_class = Counter(row.label for row in rows)
    n_before: Counter[int] = Counter()
    places: dict[Row, tuple[float, str, str]] = {}
    for row in sorted(rows, key=lambda row: (row.sha256, row.path)):
        place, n_before[row.label] = n_before[row.label], n_before[row.label] + 1
        share = place - 2.0 if place < 2 else (place + 0.5) / n_of_class[row.label]
        places[row] = (share, row.sha256, row.path)
    chosen = sorted(rows, key=places.__getitem__)[:max_rows]
    return tuple(sorted(chosen, key=lambda row: row.path))


def prepared(data_path: str, rows: Sequence[Row], preprocess: Preprocess, text: str = "decoding") -> "Examples":
    """Load rows with a progress bar; pixels that any stage decoded before come from the project's cache.

    Args:
        data_path: the data set's folder.
        rows: what to load.
        preprocess: of the backbone that will read them.
        text: what the bar says.

    Returns:
        Pixels with channels last in memory, and labels.

    Raises:
        UserError: a file that has to be read is gone or is not the one the manifest describes.
    """
    import torch

    from transfer.data.examples import Examples

    with progress(text, total=len(rows)) as bar:

        def decoded(missing: Sequence[int]) -> "Iterator[Tensor]":
            bar.advance(len(rows) - len(missing))
            return load_examples(Path(data_path), [rows[index] for index in missing], preprocess, bar.advance)

        pixels = kept_rows(pixel_recipe(preprocess), [row.sha256 for row in rows], decoded)
    labels = torch.tensor([row.label for row in rows], dtype=torch.int64)
    return Examples(pixels.permute(0, 3, 1, 2), labels, tuple(row.sha256 for row in rows))
