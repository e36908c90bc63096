"""Read weights: files that cannot run code, torchvision's published ones, the shipped ones."""

import errno
import http.client
import mmap
import pickle  # noqa: TID251  for the name of the error that torch raises; nothing is unpickled here
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import sha256_of
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, RootstockError, UserError

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "backbones"
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.[a-z]+$")
_SILENCE_S = 30.0  # a server that sends nothing for so long is given up
_REFUSED_NAME = re.compile(r"GLOBAL (\S*)\.(\S*) was not an allowed")
_LONGEST_NAME_BYTES = 1 << 12
_NO_MEMORY = re.compile(r"not enough memory|can(?:'t|not) allocate memory", re.IGNORECASE)


@dataclass(frozen=True)
class LoadedWeights:
    """Weights and where they came from.

    Args:
        state_dict: names to tensors, as the file has them; None for random weights.
        sha256: hex digest of the file; None for random weights.
        name: what an error sentence calls them.
    """

    state_dict: "dict[str, Tensor] | None"
    sha256: str | None
    name: str


def load_weights(reference: BackboneReference, recorded_sha256: str | None = None) -> LoadedWeights:
    """Load the weights that a reference names.

    Args:
        reference: a backbone reference; a relative file path starts at the current directory.
        recorded_sha256: hex digest that the file must have; None to accept it as it is.

    Raises:
        UserError: the file is missing, damaged, unsafe or not the recorded one; the enum is unknown or out of reach.
        EnvironmentFault: the disk is full while published weights are downloaded, or the memory is too small.
    """
    if reference.is_random:
        return LoadedWeights(None, None, "random weights")
    path = _file_of(reference)
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
    from transfer.backbones.weights_check import unwrap

    return LoadedWeights(unwrap(_read(path), str(path)), digest, str(path))


def needs_download(reference: BackboneReference) -> bool:
    """Say whether loading the weights would download them first.

    Raises:
        UserError: the architecture or the name of the published weights is unknown.
    """
    return reference.is_published and not _published_place(reference)[1].is_file()


def _file_of(reference: BackboneReference) -> Path:
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
    if reference.source == "rootstock":
        return _shipped_file(reference)
    return _published_file(reference)


def _shipped_file(reference: BackboneReference) -> Path:
    from transfer.backbones.build import require_shipped

    require_shipped(reference)
    path = SHIPPED_FOLDER / f"{reference.arch}.safetensors"
    if reference.weights is not None:
        raise UserError(
            f"{reference} names {reference.weights!r}; leave it out for the shipped weights, write @none for random "
            f"ones, or name a file by its path, for example @./{reference.weights}."
        )
    if not path.is_file():
        raise UserError(f"{path} is missing; bring it back with `git checkout`, or write @none for random weights.")
    return path


def _published_file(reference: BackboneReference) -> Path:
    """Return torchvision's published weights, downloaded once into torch's hub folder and checked by their hash."""
    url, path = _published_place(reference)
    if not path.is_file():
        _download(url, path, reference)
    hashed = _HASH_IN_NAME.search(path.name)
    if hashed is not None and not sha256_of(path).startswith(hashed[1]):
        raise UserError(f"{path} does not have the hash in its name; delete it, and it is downloaded again.")
    return path


def _published_place(reference: BackboneReference) -> tuple[str, Path]:
    """Return the address of published weights, and the file they are downloaded to."""
    import torch

    from transfer.backbones.torchvision_models import weights_url

    url = weights_url(reference.arch, reference.weights or "DEFAULT")
    return url, Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _download(url: str, path: Path, reference: BackboneReference) -> None:
    import torch

    hashed = _HASH_IN_NAME.search(path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _impatient():
            torch.hub.download_url_to_file(url, str(path), hashed and hashed[1], progress=sys.stderr.isatty())
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise EnvironmentFault(
                f"The disk is full while downloading {path}; free some space and run again."
            ) from error
        raise UserError(
            f"{reference} needs {path.name}, which could not be downloaded ({error}); connect to a network once, "
            f"copy the file to {path}, or name a local file with torchvision/{reference.arch}@PATH."
        ) from error


@contextmanager
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


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
    if reference.source != "torchvision":
        return ""
    from transfer.backbones.torchvision_models import weights_names

    return f"; published weights are {', '.join(weights_names(reference.arch))}"
