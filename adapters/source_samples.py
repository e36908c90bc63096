"""Features of some images that weights were trained on, beside the weights: what says how far other images are."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write
from transfer.errors import UserError
from transfer.records import Preprocess

if TYPE_CHECKING:
    from torch import Tensor

N_IMAGES = 256  # an error of 1/4 in telling two such sets apart is known to 3 points
_SUFFIX = ".source.safetensors"
_FEATURES, _ABOUT = "features", "about"


def sample_of(weights: Path) -> Path:
    """Return where the features of images that weights were trained on are written."""
    return weights.with_name(weights.name + _SUFFIX)


def recipe_of(sha256: str, reference: str, preprocess: Preprocess) -> dict[str, Any]:
    """Return what features depend on beside the images.

    Args:
        sha256: hex digest of the weights file.
        reference: of the backbone; what it says of the weights does not count.
        preprocess: of its images.
    """
    return {"sha256": sha256, "architecture": reference.partition("@")[0], "preprocess": asdict(preprocess)}


def write_sample(weights: Path, recipe: dict[str, Any], features: "Tensor") -> Path:
    """Write features beside weights, whole or not at all; return where.

    Args:
        weights: the file.
        recipe: see `recipe_of`.
        features: float32 (N, D).

    Raises:
        EnvironmentFault: the folder cannot be written.
    """
    from safetensors.torch import save

    path = sample_of(weights)
    with atomic_write(path) as temporary:
        temporary.write_bytes(save({_FEATURES: features.contiguous()}, {_ABOUT: json.dumps(recipe, sort_keys=True)}))
    return path


def read_sample(weights: Path, recipe: dict[str, Any]) -> "Tensor | None":
    """Read features from beside weights, float32 (N, D); None where there are none, or none that can be compared.

    Args:
        weights: the file.
        recipe: as `write_sample` took it; features of any other are left alone.

    Raises:
        UserError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = sample_of(weights)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            if json.loads((stored.metadata() or {}).get(_ABOUT, "null")) != json.loads(json.dumps(recipe)):
                return None
            features: Tensor = stored.get_tensor(_FEATURES)
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it, or write it again.") from error
    return features
