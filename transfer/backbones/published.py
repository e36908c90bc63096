"""The files that published weights are in: where each is, and what it is called here."""

import re
from dataclasses import dataclass

from transfer.backbones.reference import BackboneReference

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of published weights.

    Args:
        url: where it is.
        name: what it is called in a folder of such files; no two have the same.
        hash_prefix: hex digits that its sha256 begins with; None where its name holds none.
    """

    url: str
    name: str
    hash_prefix: str | None


def published_file(reference: BackboneReference) -> PublishedFile:
    """Return the file of published weights.

    Args:
        reference: with `is_published`.

    Raises:
        UserError: the architecture or the name of the weights is unknown, or timm is not installed.
    """
    if reference.source == "timm":
        from transfer.backbones import timm_models

        url = timm_models.weights_url(reference.arch, reference.weights)
    else:
        from transfer.backbones import torchvision_models

        url = torchvision_models.weights_url(reference.arch, reference.weights or "DEFAULT")
    name = _name(url)
    hashed = _HASH_IN_NAME.search(name)
    return PublishedFile(url, name, hashed and hashed[1])


def _name(url: str) -> str:
    """Return the file's own name; with the repository's on a model hub, where all files are called the same."""
    place, _, file = url.partition("/resolve/")
    if not file:
        return url.rpartition("/")[2]
    return "--".join((*place.split("/")[-2:], file.rpartition("/")[2]))
