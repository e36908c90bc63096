"""Published weights: in the store, in torch hub's folder, or downloaded into the store."""

import errno
import http.client
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from adapters import environment, weight_store
from adapters.json_files import sha256_of
from transfer.backbones.published import PublishedFile, published_file
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, UserError

Report = Callable[[int, int | None], None]  # bytes that are here, bytes of the whole file where the server says so
_HUB, _HUB_MIRROR = "https://huggingface.co/", "HF_ENDPOINT"  # that variable is the hub's own
_SILENCE_S = 30.0  # a server that sends nothing for so long is given up
_CHUNK_BYTES = 1 << 20
_SCHEMES = ("https", "http", "file")


def silent(done: int, total: int | None) -> None:
    """Report to nobody."""


def needs_download(reference: BackboneReference) -> bool:
    """Say whether loading the weights would download them first.

    Raises:
        UserError: the architecture or the name of the published weights is unknown.
    """
    return reference.is_published and found_here(published_file(reference)) is None


def names_here() -> set[str]:
    """Return the names of all published files that are here."""
    hub = _torch_hub()
    return weight_store.stored_names() | ({path.name for path in hub.iterdir()} if hub.is_dir() else set())


def found_here(file: PublishedFile) -> Path | None:
    """Return where a published file is on this machine, None where it is not."""
    stored, in_hub = weight_store.stored(file.name), _torch_hub() / file.name
    return stored or (in_hub if in_hub.is_file() else None)


def fetched(reference: BackboneReference, report: Report = silent) -> Path:
    """Return the file of published weights, downloaded if it is not here.

    Args:
        reference: with `is_published`.
        report: told how far the download is.

    Raises:
        UserError: the weights are unknown, out of reach, or not those that were published.
        EnvironmentFault: the disk is full, or the store cannot be written.
    """
    file = published_file(reference)
    path = found_here(file)
    return path or weight_store.fill(file.name, lambda part: _download(file, part, reference, report))


def require_published(path: Path, digest: str, reference: BackboneReference) -> None:
    """Refuse a file that is not the one that was published.

    Args:
        path: what `fetched` returned.
        digest: sha256 of its bytes.
        reference: whose weights it should hold.

    Raises:
        UserError: its hash is another one.
    """
    weight_store.require_whole(path, digest)
    prefix = published_file(reference).hash_prefix
    if prefix is not None and not digest.startswith(prefix):
        raise UserError(f"{path} does not have the hash in its name; delete it, and it is downloaded again.")


def _download(file: PublishedFile, part: Path, reference: BackboneReference, report: Report) -> None:
    try:
        _copy(_mirrored(file.url), part, report)
        if file.hash_prefix is not None and not sha256_of(part).startswith(file.hash_prefix):
            raise ConnectionError(f"what came does not have the hash {file.hash_prefix} in its name")
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise EnvironmentFault(
                f"The disk is full while downloading {file.name} to {part.parent}; free some space and run again."
            ) from error
        raise UserError(
            f"{reference} needs {file.name}, which could not be downloaded from {file.url} ({_reason(error)}); connect "
            f"to a network once, copy the file to {part.parent / file.name}, or name a local file with "
            f"{reference.with_weights('PATH')}."
        ) from error


def _copy(url: str, part: Path, report: Report) -> None:
    if urlsplit(url).scheme not in _SCHEMES:
        raise ValueError(f"the address begins with none of {', '.join(_SCHEMES)}")
    with urllib.request.urlopen(url, timeout=_SILENCE_S) as answer, part.open("wb") as stream:  # noqa: S310  checked above
        length = answer.headers.get("Content-Length")
        total, done = int(length) if length else None, 0
        report(done, total)
        while chunk := answer.read(_CHUNK_BYTES):
            stream.write(chunk)
            done += len(chunk)
            report(done, total)
    if total is not None and done != total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _mirrored(url: str) -> str:
    mirror = environment.get(_HUB_MIRROR)
    return f"{mirror.rstrip('/')}/{url.removeprefix(_HUB)}" if mirror and url.startswith(_HUB) else url


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _torch_hub() -> Path:
    """Return where torch's own functions keep what they download."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"
