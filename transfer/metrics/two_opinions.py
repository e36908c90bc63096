"""What all other rows say of a row's class, in two ways that err differently: a ridge regression, and a vote.

The regression draws boundaries and follows single wrong labels where rows are few; the vote weights the label of every
other row by how alike it is, so that no single one counts for much, and is coarse. A label that both doubt is wrong
more often than one that only one of them doubts: their logits are averaged, each made likely by its own temperature.

Activations of networks are skewed, a few of them large; their roots are nearer to what both assume.

Source: the vote, Nadaraya 1964, On Estimating Regression, Theory of Probability and its Applications 9(1), and Watson
1964, Smooth Regression Analysis, Sankhya A 26(4), without the row itself; averaged logits, Hinton 2002, Training
products of experts by minimizing contrastive divergence, Neural Computation 14(8); roots of activations (Tukey's ladder
of powers), Yang, Liu and Xu 2021, Free Lunch for Few-shot Learning, ICLR.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transfer.metrics.ridge import RidgePath
from transfer.metrics.temperature import calibrated

_CONCENTRATIONS = (1.25, 2.5, 5.0, 10.0, 20.0)  # of the vote: from nearly even to a few of the nearest rows
_ROWS_AT_ONCE = 1000
_MOST_VOTERS = 4000  # 640 MB of likeness for 20,000 rows; the width makes up for how dense they are


@dataclass(frozen=True)
class Opinions:
    """Rows that speak of each other.

    Args:
        rows: float64 (N, D), of length 1.
        labels: int64 (N,).
        n_classes: C.
        voters: int64 (M,), the rows that vote.
        likeness: cosine of each row with each voter, float64 (N, M); -inf with itself.
    """

    rows: Tensor
    labels: Tensor
    n_classes: int
    voters: Tensor
    likeness: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, n_classes: int) -> "Opinions":
        """Prepare rows; of more than 4,000, as many vote: each class its share, evenly over the order of its rows.

        Args:
            features: finite float (N, D), N at least 2.
            labels: int64 (N,), in [0, n_classes).
            n_classes: at least 2.
        """
        rows = directions(features)
        n_rows = len(rows)
        places = torch.arange(min(n_rows, _MOST_VOTERS)) * n_rows // min(n_rows, _MOST_VOTERS)
        voters = labels.argsort(stable=True)[places]
        likeness = rows @ rows[voters].T
        likeness[voters, torch.arange(len(voters))] = -torch.inf
        return cls(rows, labels, n_classes, voters, likeness)

    def logits(self, weights: Tensor | None = None) -> Tensor:
        """Return the logits of each row's class by all others, float64 (N, C).

        Args:
            weights: how much each row counts, float64 (N,), above 0; all the same when None.
        """
        share = None if weights is None else weights / weights.mean()
        regressed = unseen_scores(self.rows, self.labels, self.n_classes, weights)
        sharpness, _ = calibrated(regressed, self.labels, weights=share)
        least, best = torch.inf, regressed
        for concentration in _CONCENTRATIONS:
            scores = self.vote(concentration, weights)
            of_vote, loss = calibrated(scores, self.labels, weights=share)
            if loss < least:
                least, best = loss, of_vote * scores
        return (sharpness * regressed + best) / 2

    def vote(self, concentration: float, weights: Tensor | None = None) -> Tensor:
        """Return the shares of each row's class, voters weighted by exp(concentration x cosine), float64 (N, C).

        Args:
            concentration: above 0; the higher, the nearer a voter has to be to count.
            weights: see `logits`.
        """
        ballots = functional.one_hot(self.labels[self.voters], self.n_classes).to(torch.float64)
        if weights is not None:
            ballots *= weights[self.voters, None]
        parts = self.likeness.split(_ROWS_AT_ONCE)
        votes = torch.cat([((part - 1) * concentration).exp() @ ballots for part in parts])
        return votes / votes.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)


def directions(features: Tensor) -> Tensor:
    """Return the signed roots of features, less their means, each row at length 1 (or 0), float64 (N, D)."""
    values = features.to(torch.float64)
    rooted = values.sign() * values.abs().sqrt()
    return functional.normalize(rooted - rooted.mean(0), eps=torch.finfo(torch.float64).tiny)


def unseen_scores(features: Tensor, labels: Tensor, n_classes: int, weights: Tensor | None = None) -> Tensor:
    """Return the class scores of each row by the ridge regression on all others, float64 (N, C).

    The penalty is the one with the smallest squared error on rows that were not fitted, each by its weight.

    Args:
        features: finite float (N, D), N at least 2.
        labels: int64 (N,).
        n_classes: at least 1.
        weights: how much each row counts, float64 (N,), above 0; all the same when None.
    """
    path = RidgePath(features, labels, n_classes, weights)
    share = torch.ones(len(labels), dtype=torch.float64) if weights is None else weights
    least, best = torch.inf, path.targets
    for strength in path.strengths():
        scores = path.without_one(strength)
        error = float(share @ (path.targets - scores).square().sum(1))
        if error < least:
            least, best = error, scores
    return best
