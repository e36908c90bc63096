"""Read weights: files that cannot run code, torchvision's published ones, the shipped ones."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import sha256_of
from transfer.backbones.reference import BackboneReference
from transfer.backbones.weights_check import unwrap
from transfer.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "backbones"


@dataclass(frozen=True)
class LoadedWeights:
    """Weights and the digest of the file they came from; both None for random weights."""

    state_dict: "dict[str, Tensor] | None"
    sha256: str | None
    name: str


def load_weights(reference: BackboneReference, recorded_sha256: str | None = None) -> LoadedWeights:
    """Load the weights that a reference names.

    Args:
        reference: a backbone reference; a relative file path starts at the current directory.
        recorded_sha256: hex digest that a local file must have; None to accept it as it is.

    Raises:
        UserError: the file is missing, damaged, unsafe or not the recorded one; the enum is unknown or cannot be fetched.
    """
    if reference.is_random:
        return LoadedWeights(None, None, "random weights")
    path = _file_of(reference)
    digest = sha256_of(path)
    if recorded_sha256 is not None and digest != recorded_sha256:
        raise UserError(
            f"{path} is not the weights file that was recorded (sha256 {recorded_sha256[:12]}..., now {digest[:12]}...); "
            f"restore the file, or accept the new one by naming it again in `rootstock run select.candidates=...`."
        )
    return LoadedWeights(unwrap(_read(path), str(path)), digest, str(path))


def _file_of(reference: BackboneReference) -> Path:
    if reference.weights_file is not None:
        path = Path(reference.weights_file).expanduser()
        if not path.is_file():
            raise UserError(
                f"The weights file {path} of {reference} does not exist; name a file that does, or write @none for random "
                f"weights{_enum_hint(reference)}."
            )
        return path
    if reference.source == "rootstock":
        return _shipped_file(reference)
    return _published_file(reference)


def _shipped_file(reference: BackboneReference) -> Path:
    path = SHIPPED_FOLDER / f"{reference.arch}.safetensors"
    if reference.weights is not None:
        raise UserError(
            f"{reference} names {reference.weights!r}; leave it out for the shipped weights, or write @none."
        )
    if not path.is_file():
        raise UserError(f"rootstock ships no weights for {reference.arch!r}; write @none for random weights.")
    return path


def _published_file(reference: BackboneReference) -> Path:
    """Return torchvision's published weights, downloaded once into torch's hub folder and verified by their hash."""
    import torch
    from torchvision import models

    from transfer.backbones.torchvision_models import weights_names

    allowed = weights_names(reference.arch)
    name = reference.weights or "DEFAULT"
    if name not in allowed:
        raise UserError(
            f"{reference} names the weights {name!r}; torchvision/{reference.arch} has {', '.join(allowed)}."
        )
    url: str = models.get_model_weights(reference.arch)[name].url
    file_name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file_name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(
                url, str(path), file_name.rpartition("-")[2].partition(".")[0], progress=False
            )
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{reference} needs {file_name}, which could not be downloaded ({error}); connect to a network once, copy the "
                f"file to {path}, or name a local file with @path."
            ) from error
    return path


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error) or "weights_only" in str(error).lower():
            raise UserError(
                f"{path} holds more than tensors and was refused, nothing in it was executed; "
                f"save the weights alone, for example with safetensors."
            ) from error
        raise _damaged(path) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(path) from error


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is truncated or is no weights file (.pth, .pt or .safetensors); copy or download it again."
    )


def _enum_hint(reference: BackboneReference) -> str:
    if reference.source != "torchvision":
        return ""
    from transfer.backbones.torchvision_models import weights_names

    return f"; published weights are {', '.join(weights_names(reference.arch))}"
