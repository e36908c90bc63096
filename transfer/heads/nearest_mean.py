"""The class whose mean is nearest: what frozen features are worth where nothing is fitted but means.

|f - m|^2 = |f|^2 - 2 f'm + |m|^2, and |f|^2 is the same for every class: the class of the nearest mean is that of the
largest f'm - |m|^2 / 2, a linear head.

Source: Mensink et al. 2013, "Distance-based image classification: generalizing to new classes at near-zero cost", IEEE
TPAMI 35(11), section 3, with features of mean 0 and variance 1.
"""

import torch
from torch import Tensor, nn

from transfer.backbones.heads import linear_head
from transfer.heads.rows import require_fittable, standardiser


def nearest_mean(features: Tensor, labels: Tensor, n_classes: int) -> nn.Linear:
    """Return a head whose largest logit is that of the class with the nearest mean.

    Args:
        features: float (N, D).
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.

    Raises:
        UserError: a class has no row, or a feature is not finite.
    """
    require_fittable(features, labels, n_classes)
    mean, scale = standardiser(features)
    rows = (features.double() - mean) / scale
    means = torch.stack([rows[labels == label].mean(0) for label in range(n_classes)])
    weight, bias = means / scale, -means.square().sum(1) / 2
    return linear_head(weight.float(), (bias - weight @ mean).float())
