"""Examples of the manifest's rows, prepared for a backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.image_files import load_examples
from tasks.progress import progress
from transfer.records import Preprocess, Row

if TYPE_CHECKING:
    from transfer.data.examples import Examples


def prepared(data_path: str, rows: Sequence[Row], preprocess: Preprocess, text: str = "decoding") -> "Examples":
    """Load rows with a progress bar.

    Args:
        data_path: the data set's folder.
        rows: what to load.
        preprocess: of the backbone that will read them.
        text: what the bar says.
    """
    import torch

    from transfer.data.examples import Examples

    with progress(text, total=len(rows)) as bar:
        inputs = load_examples(Path(data_path), rows, preprocess, bar.advance)
    return Examples(inputs, torch.tensor([row.label for row in rows], dtype=torch.int64))
