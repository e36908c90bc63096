"""Which images of the training set a network finds the most alike: by the angle between features.

Source: examples as explanations, Papernot and McDaniel 2018, "Deep k-nearest neighbors", arXiv:1803.04765, section 3.
"""

import torch
from torch import Tensor
from torch.nn import functional


def nearest(features: Tensor, of_train: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the training rows with the highest cosine similarity to each row, the most alike first.

    Args:
        features: float (N, D).
        of_train: float (M, D), M at least 1.
        k: neighbours, at least 1; all where there are fewer.

    Returns:
        int64 (N, min(k, M)), rows of `of_train`, the lower row first where two are equally alike; and their
        similarities, float64, in [-1, 1].
    """
    rows, others = (functional.normalize(one.double(), dim=1) for one in (features, of_train))
    similarity = (rows @ others.T).clamp(-1, 1)
    order = similarity.argsort(dim=1, descending=True, stable=True)[:, : min(k, len(of_train))]
    return order, torch.gather(similarity, 1, order)
