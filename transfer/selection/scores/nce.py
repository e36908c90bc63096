"""NCE: how much the source classifier's decisions say about the labels.

Source: Tran, Nguyen and Hassner 2019, Transferability and Hardness of Supervised Classification Tasks,
arXiv:1908.08142: the negative conditional entropy of empirical shares.
"""

import torch
from torch import Tensor

from transfer.selection.checks import targets_of_source


def nce(probabilities: Tensor, labels: Tensor) -> float:
    """Return the negative conditional entropy -H(y | z) of labels given decisions, in nats; higher is better.

    In [-log C, 0]; z is the most probable source class of each row, of equal ones the first.

    Costs O(N Cs).

    Args:
        probabilities: see `transfer.selection.scores.leep.leep`.
        labels: see there.

    Raises:
        UserError: see there.
    """
    targets = targets_of_source(probabilities, labels)
    decided = probabilities.argmax(1)
    counts = torch.zeros(probabilities.shape[1], targets.shape[1], dtype=torch.float64).index_add_(0, decided, targets)
    joint = counts / len(labels)
    return float((torch.xlogy(joint, joint).sum(1) - torch.xlogy(joint.sum(1), joint.sum(1))).sum())
