"""Features of a frozen backbone."""

from collections.abc import Callable

import torch
from torch import Tensor

from transfer.backbones.backbone import Backbone
from transfer.backbones.executors import BATCH_SIZE, run_rows
from transfer.backbones.modes import evaluating
from transfer.data.batches import normalise


def extract_features(
    backbone: Backbone, examples: Tensor, batch_size: int = BATCH_SIZE, advance: Callable[[int], None] = lambda _: None
) -> Tensor:
    """Run a backbone over examples as PyTorch runs it, with its weights and norm statistics as they are.

    `transfer.backbones.trial` finds faster executors, which pay for themselves from some hundred images on.

    Args:
        backbone: every module is left in the mode it was in.
        examples: uint8 (N, 3, H, W), as `transfer.data` prepared them for `backbone.preprocess`.
        batch_size: examples per forward pass, at least 1.
        advance: called with the number of examples done, after every pass.

    Returns:
        float32 (N, feature_dim).
    """
    device = next(backbone.parameters()).device

    def run(batch: Tensor) -> Tensor:
        made: Tensor = backbone(normalise(batch.to(device), backbone.preprocess))
        return made.float().cpu()

    with evaluating(backbone), torch.inference_mode():
        rows = list(run_rows(run, examples, batch_size, advance))
    return torch.cat(rows) if rows else torch.empty(0, backbone.feature_dim)
