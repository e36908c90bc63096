"""Norm statistics of the target's own images in place of those of the source's.

Source: AdaBN, Li et al. 2017, "Revisiting batch normalization for practical domain adaptation", arXiv:1603.04779.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone
from transfer.backbones.modes import evaluating
from transfer.data.batches import normalise
from transfer.errors import UserError

_BATCH = 32
MOST_IMAGES = 1024


def statistics_of(backbone: Backbone) -> list[nn.Module]:
    """Return the modules of a trunk that keep running statistics."""
    return [module for module in backbone.modules() if isinstance(getattr(module, "running_mean", None), Tensor)]


def require_statistics(backbone: Backbone) -> None:
    """Refuse a trunk that keeps no running statistics.

    Raises:
        UserError: it keeps none.
    """
    if not statistics_of(backbone):
        raise UserError(
            f"{backbone.reference} has no norm layer that keeps statistics, so none can be those of the training "
            "images; leave finetune.norms at auto and run again."
        )


def reestimate(backbone: Backbone, images: Tensor, advance: Callable[[int], None] = lambda _: None) -> None:
    """Replace the running statistics of a trunk by the average over batches of other images; no weight changes.

    Args:
        backbone: changed in place; every module keeps the mode it was in.
        images: uint8 (N, 3, H, W), at least two; no more than `MOST_IMAGES` of them are read, evenly spread.
        advance: called with the number of images of every batch.
    """
    kept = images[torch.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).round().long()]
    found = statistics_of(backbone)
    momenta = [getattr(module, "momentum", None) for module in found]
    with evaluating(backbone), torch.no_grad():
        for module in found:
            module.reset_running_stats()  # type: ignore[operator]  # what keeps statistics has it
            module.momentum = None  # type: ignore[assignment]  # the plain average over all batches
            module.train()
        try:
            for batch in kept.tensor_split(max(1, len(kept) // _BATCH)):
                backbone(normalise(batch, backbone.preprocess))
                advance(len(batch))
        finally:
            for module, momentum in zip(found, momenta, strict=True):
                module.momentum = momentum  # type: ignore[assignment]
