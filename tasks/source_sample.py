"""How far the images are from those that a backbone learned from, where a sample of those is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.image_files import sample_pixels
from adapters.source_samples import N_IMAGES, read_sample, recipe_of, write_sample
from tasks.customs import Admitted, admit
from tasks.progress import progress
from transfer.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = 32


def write_source(text: str, folder: Path) -> tuple[Path, int]:
    """Write what the images of a folder look like to a backbone beside its weights.

    Args:
        text: a backbone reference.
        folder: with some of the images that the weights were trained on, in any folders below it.

    Returns:
        The file that was written, and the number of images in it.

    Raises:
        UserError: the weights are random or do not pass, the folder is none, or it holds too few images.
        EnvironmentFault: the file cannot be written.
    """
    from transfer.backbones.features import extract_features
    from transfer.backbones.reference import BackboneReference

    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name one with images that the weights were trained on.")
    admitted = admit(BackboneReference.parse(text))
    if admitted.path is None or admitted.sha256 is None:
        raise UserError(f"{text} has random weights, which learned from no images; name weights that did.")
    with progress("decoding", total=N_IMAGES) as bar:
        pixels = sample_pixels(folder, N_IMAGES, admitted.backbone.preprocess, bar.advance)
    if len(pixels) < _LEAST:
        raise UserError(f"{folder} holds {len(pixels)} images that can be decoded; give at least {_LEAST}.")
    with progress("features", total=len(pixels)) as bar:
        features = extract_features(admitted.backbone, pixels.permute(0, 3, 1, 2), advance=bar.advance)
    return write_sample(admitted.path, _recipe(admitted), features), len(pixels)


def distance_of(admitted: Admitted, features: "Tensor") -> float | None:
    """Return the proxy A-distance of images from those that a backbone learned from; None where no sample is known.

    Args:
        admitted: the backbone.
        features: float32 (N, D) of the images; of more than `N_IMAGES` rows as many count, evenly spread.

    Raises:
        UserError: the sample is damaged.
    """
    import torch

    from transfer.selection.distances.proxy_a_distance import proxy_a_distance

    if admitted.path is None or admitted.sha256 is None:
        return None
    sample = read_sample(admitted.path, _recipe(admitted))
    if sample is None or min(len(sample), len(features)) < _LEAST:
        return None
    n_rows = min(N_IMAGES, len(features))
    spread = torch.arange(n_rows) * len(features) // n_rows  # rows come class by class
    return proxy_a_distance(sample, features[spread])


def _recipe(admitted: Admitted) -> dict[str, Any]:
    backbone = admitted.backbone
    return recipe_of(admitted.sha256 or "", backbone.reference, backbone.preprocess)
