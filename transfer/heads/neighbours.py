"""Nearest neighbours of frozen features: their number and their temperature by leaving each row out.

Source: the weighted vote, Wu et al. 2018, "Unsupervised feature learning via non-parametric instance discrimination",
arXiv:1805.01978, section 3.4; centred features of length 1, Wang et al. 2019, "SimpleShot", arXiv:1911.04623.
"""

import math

import torch
from torch import Tensor

from transfer.backbones.heads import Neighbours, log_votes, unit_rows, vote_shares
from transfer.heads.counting import counting_of
from transfer.heads.fitted import Fitted
from transfer.heads.rows import class_shares, require_fittable
from transfer.metrics.temperature import calibrated
from transfer.records import ClassBalance

NUMBERS = (1, 3, 5, 10, 20, 50, 100)
_AT_ONCE = 1024  # rows whose similarities to all others are in memory


def fit_neighbours(features: Tensor, labels: Tensor, n_classes: int, balance: ClassBalance | None = None) -> Fitted:
    """Keep the rows, and choose how many of them vote.

    Args:
        features: float (N, D), N at least 2.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.
        balance: what is done about unequal classes; nothing when None. Weights multiply votes.

    Raises:
        UserError: a class has no row, or a feature is not finite.
    """
    require_fittable(features, labels, n_classes)
    counting = counting_of(labels, n_classes, balance)
    weights = torch.ones(len(labels)) if counting.fitting is None else counting.fitting.float()
    centre = features.double().mean(0).float()
    rows = unit_rows(features.float(), centre)
    closeness, nearest = _others(rows, min(NUMBERS[-1], len(rows) - 1))
    prior = class_shares(labels, n_classes, counting.fitting)
    best_nll, best_k, best_sharpness, held_out = math.inf, 1, 1.0, closeness.new_zeros(len(rows), n_classes).double()
    for k in (number for number in NUMBERS if number < len(rows)):
        voters = nearest[:, :k]
        shares = vote_shares(closeness[:, :k].double(), weights[voters], labels[voters], n_classes)
        scores = log_votes(shares, k, prior.double())
        sharpness, nll = calibrated(scores, labels, weights=counting.judging, offset=counting.offset)
        if nll < best_nll:
            best_nll, best_k, best_sharpness, held_out = nll, k, sharpness, counting.moved(sharpness * scores)
    kept = {"centre": centre, "rows": rows, "labels": labels, "weights": weights, "prior": prior}
    numbers = {"k": torch.tensor(best_k), "sharpness": torch.tensor(best_sharpness)}
    head = Neighbours(**kept, **numbers, offset=counting.moved(torch.zeros(n_classes)))
    return Fitted(head, held_out, counting.told(best_sharpness))


def _others(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the similarities (N, k) of the nearest others of each row of length 1, and which they are."""
    found = []
    for first in range(0, len(rows), _AT_ONCE):
        similarity = rows[first : first + _AT_ONCE] @ rows.T
        similarity.diagonal(first).fill_(-math.inf)
        found.append(similarity.topk(k, dim=1))
    closeness, nearest = zip(*found, strict=True)
    return torch.cat(closeness), torch.cat(nearest)
