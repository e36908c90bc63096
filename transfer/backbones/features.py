"""Features of a frozen backbone."""

from collections.abc import Callable

import torch
from torch import Tensor

from transfer.backbones.backbone import Backbone
from transfer.data.batches import normalise


def extract_features(
    backbone: Backbone, examples: Tensor, batch_size: int = 64, advance: Callable[[int], None] = lambda _: None
) -> Tensor:
    """Run a backbone over examples with its weights and norm statistics as they are.

    Args:
        backbone: every module is left in the mode it was in.
        examples: uint8 (N, 3, H, W), as `transfer.data` prepared them for `backbone.preprocess`.
        batch_size: examples per forward pass, at least 1.
        advance: called with the number of examples done, after every pass.

    Returns:
        float32 (N, feature_dim).
    """
    modes = [(module, module.training) for module in backbone.modules()]
    device = next(backbone.parameters()).device
    backbone.eval()
    rows = []
    try:
        with torch.inference_mode():
            for batch in examples.split(batch_size):
                images = normalise(batch.to(device), backbone.preprocess)
                rows.append(backbone(images).float().cpu())
                advance(len(batch))
    finally:
        for module, training in modes:
            module.training = training
    return torch.cat(rows) if len(examples) else torch.empty(0, backbone.feature_dim)
