"""What features must be before anything is computed from them."""

import torch
from torch import Tensor

from transfer.errors import UserError


def require_scorable(features: Tensor, labels: Tensor) -> None:
    """Refuse features that cannot be scored by leaving one row out.

    Args:
        features: (N, D).
        labels: (N,).

    Raises:
        UserError: fewer than two rows, another number of labels, or a feature that is not finite.
    """
    if len(features) < 2 or len(features) != len(labels):
        raise UserError(
            f"{len(features)} rows with {len(labels)} labels cannot be scored by leaving one out; "
            f"at least 2 training rows, each with its label, are needed."
        )
    if not torch.isfinite(features).all():
        raise UserError("The features hold values that are not finite; use other weights or another candidate.")
