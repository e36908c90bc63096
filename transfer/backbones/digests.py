"""Name values by what they are."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def digest_of_values(values: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, shapes, types and bytes of tensors.

    Args:
        values: by name, on any device.
    """
    digest = hashlib.sha256()
    for name, value in sorted(values.items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digest_of(network: nn.Module) -> str:
    """Return the digest of a network's weights and statistics: what names random ones."""
    return digest_of_values(network.state_dict())
