"""NCE: how much the source classifier's decisions say about the labels.

Source: Tran, Nguyen and Hassner 2019, Transferability and Hardness of Supervised Classification Tasks,
arXiv:1908.08142: the negative conditional entropy of empirical shares.
"""

import torch
from torch import Tensor

from transfer.selection.checks import memberships, require_probabilities


def nce(probabilities: Tensor, labels: Tensor) -> float:
    """Return the negative conditional entropy -H(y | z) of labels given decisions, in nats; higher is better.

    In [-log C, 0]; z is the most probable source class of each row, of equal ones the first.

    Costs O(N Cs).

    Args:
        probabilities: shares of the source classes, float (N, Cs), rows sum to 1.
        labels: int64 (N,).

    Raises:
        UserError: another number of labels than rows, fewer than two classes, or rows that are no shares.
    """
    require_probabilities(probabilities, labels)
    targets = memberships(labels, len(probabilities))
    decided = probabilities.argmax(1)
    counts = torch.zeros(probabilities.shape[1], targets.shape[1], dtype=torch.float64).index_add_(0, decided, targets)
    joint = counts / len(labels)
    return float((torch.xlogy(joint, joint).sum(1) - torch.xlogy(joint.sum(1), joint.sum(1))).sum())
