"""How much fine detail an image has: little where it is blurred."""

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
_AT_ONCE = 256


def laplacian_variance(images: Tensor) -> Tensor:
    """Return the variance of the Laplacian of each image's luma in [0, 1], float64 (N,); low where it is blurred.

    Args:
        images: uint8 (N, 3, H, W), H and W at least 3.

    Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR, the
    measure LAPV, with the Laplacian of four neighbours.
    """
    found = []
    for part in images.split(_AT_ONCE):
        luma = torch.einsum("nchw,c->nhw", part.double() / 255, torch.tensor(_LUMA, dtype=torch.float64))
        inner = luma[:, 1:-1, 1:-1]
        around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
        found.append((around - 4 * inner).flatten(1).var(1, correction=0))
    return torch.cat(found)
