"""Read weights: files that cannot run code, published and shipped ones, trunks of registered models."""

import mmap
import pickle  # noqa: TID251  for the name of the error that torch raises; nothing is unpickled here
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import sha256_of
from adapters.model_files import TRUNK
from adapters.published_weights import Report, fetched, require_published, silent
from adapters.registered_trunks import registered_trunk, resolved
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, RootstockError, UserError

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.records import Preprocess

SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "backbones"
_REFUSED_NAME = re.compile(r"GLOBAL (\S*)\.(\S*) was not an allowed")
_LONGEST_NAME_BYTES = 1 << 12
_NO_MEMORY = re.compile(r"not enough memory|can(?:'t|not) allocate memory", re.IGNORECASE)


@dataclass(frozen=True)
class LoadedWeights:
    """Weights and where they came from.

    Args:
        reference: what they are for, the architecture named, and of a registered model the version.
        state_dict: names to tensors, as the file has them; None for random weights.
        sha256: hex digest of the file; None for random weights.
        name: what an error sentence calls them.
        path: of the file; None for random weights.
        preprocess: what the images of a registered model look like; None for all others, whose architecture says it.
    """

    reference: BackboneReference
    state_dict: "dict[str, Tensor] | None"
    sha256: str | None
    name: str
    path: Path | None = None
    preprocess: "Preprocess | None" = None


def load_weights(
    reference: BackboneReference,
    recorded_sha256: str | None = None,
    *,
    report: Report = silent,
    project: Path | None = None,
) -> LoadedWeights:
    """Load the weights that a reference names.

    Args:
        reference: a backbone reference; a relative file path starts at the current directory.
        recorded_sha256: hex digest that the file must have; None to accept it as it is.
        report: told how far a download is.
        project: whose registry holds registered models; that of the current directory when None.

    Raises:
        UserError: the file is missing, damaged, unsafe or not the recorded one; the name is unknown or out of reach.
        EnvironmentFault: the disk is full while published weights are downloaded, or the memory is too small.
    """
    if reference.is_random:
        return LoadedWeights(reference, None, None, "random weights")
    exact, preprocess = resolved(reference, project)
    path = fetched(exact, report) if exact.is_published else _file_of(exact, project)
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    if recorded_sha256 is not None and digest != recorded_sha256:
        raise UserError(
            f"{path} is not the weights file that was recorded: recorded sha256 {recorded_sha256[:12]}..., "
            f"found {digest[:12]}...; restore the file, or accept the new one by naming it again with "
            f"`rootstock run select.candidates=...`."
        )
    if exact.is_published:
        require_published(path, digest, exact)
    return LoadedWeights(exact, _state_dict(path, exact), digest, str(path), path, preprocess)


def _state_dict(path: Path, reference: BackboneReference) -> "dict[str, Tensor]":
    from transfer.backbones.weights_check import unwrap

    state_dict = unwrap(_read(path), str(path))
    if reference.registered_model is None:
        return state_dict
    return {name.removeprefix(TRUNK): value for name, value in state_dict.items() if name.startswith(TRUNK)}


def _file_of(reference: BackboneReference, project: Path | None) -> Path:
    if reference.registered_model is not None:
        return registered_trunk(reference.registered_model, project).weights
    if reference.weights_file is not None:
        path = Path(reference.weights_file).expanduser()
        if path.is_dir():
            raise UserError(f"The weights {path} of {reference} are a folder; name the file in it.")
        if not path.is_file():
            raise UserError(
                f"The weights file {path} of {reference} does not exist; name a file that does, "
                f"or write @none for random weights{_published_hint(reference)}."
            )
        return path
    return _shipped_file(reference)


def _shipped_file(reference: BackboneReference) -> Path:
    from transfer.backbones.own_models import require_shipped

    require_shipped(reference.arch)
    path = SHIPPED_FOLDER / f"{reference.arch}.safetensors"
    if reference.weights is not None:
        raise UserError(
            f"{reference} names {reference.weights!r}; leave it out for the shipped weights, write @none for random "
            f"ones, or name a file by its path, for example @./{reference.weights}."
        )
    if not path.is_file():
        raise UserError(f"{path} is missing; bring it back with `git checkout`, or write @none for random weights.")
    return path


def _read(path: Path) -> Any:
    """Return what a file holds; on a damaged one the readers raise anything, struct.error and AssertionError too."""
    try:
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except Exception as error:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            raise _too_large(path) from error
        raise (_unsafe if _is_unsafe(path, error) else _damaged)(path) from error


def _read_pickle(path: Path) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about formats that are refused
        return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _is_unsafe(path: Path, error: Exception) -> bool:
    text = str(error)
    if isinstance(error, pickle.UnpicklingError):
        return ("GLOBAL" in text or "nsupported class" in text) and not _ends_in_name(path, text)
    return isinstance(error, RuntimeError) and "TorchScript" in text


def _ends_in_name(path: Path, text: str) -> bool:
    """Say whether a refused name is one that the end of the file cuts short; torch drops such a name's last byte."""
    refused = _REFUSED_NAME.search(text)
    if refused is None:
        return False
    module, name = (re.escape(part.encode()) for part in refused.groups())
    cut = rb"c%b\n%b[^\n]?\Z" % (module, name) if name else rb"c%b\n?[^\n]?\Z" % module
    return re.search(cut, path.read_bytes()[-_LONGEST_NAME_BYTES:]) is not None


def _too_large(path: Path) -> RootstockError:
    """Tell a file that memory cannot hold from a damaged one that asks for more than it has."""
    n_bytes = path.stat().st_size
    try:
        mmap.mmap(-1, 2 * n_bytes).close()  # the file, and the tensors made of it: asked of the system, not of malloc
    except (OSError, MemoryError):
        return EnvironmentFault(
            f"{path} ({n_bytes / 1e6:.0f} MB) does not fit into the memory that is free; end other programs, or choose "
            f"smaller weights, and run the same command again."
        )
    return _damaged(path)


def _unsafe(path: Path) -> UserError:
    return UserError(
        f"{path} holds more than tensors and was refused, nothing in it was executed; "
        f"save the weights alone, for example with safetensors."
    )


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is truncated or is no weights file (.pth, .pt or .safetensors); copy or download it again."
    )


def _published_hint(reference: BackboneReference) -> str:
    from transfer.backbones import timm_models, torchvision_models

    if reference.source == "rootstock" or (reference.source == "timm" and not timm_models.is_installed()):
        return ""
    names_of = timm_models.tags_of if reference.source == "timm" else torchvision_models.weights_names
    return f"; published weights are {', '.join(names_of(reference.arch))}"
