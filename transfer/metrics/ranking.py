"""How well scores order candidates, judged by the accuracies that the candidates reached."""

from collections.abc import Sequence

import numpy as np

from transfer.errors import UserError


def weighted_tau(scores: Sequence[float], accuracies: Sequence[float]) -> float:
    """Return the weighted Kendall correlation of scores and accuracies, in [-1, 1]; higher is better.

    A pair of candidates counts by the sum of 1 / (1 + rank) of both, so that the order among the best matters most; the
    mean is taken of ranking by score and by accuracy. Where two scores, or two accuracies, are equal, their pair counts
    neither as right nor as wrong, and the other value decides which of the two has the better rank. A score that is the
    same for all candidates orders none of them: 0, the mean of an order by chance.

    Args:
        scores: one a candidate, at least two, higher meaning better.
        accuracies: of the same candidates, in any unit, not all the same.

    Raises:
        UserError: another number of accuracies than scores, fewer than two, a value that is not a number, or accuracies
            that are all the same.

    Source: Vigna 2015, A Weighted Correlation Index for Rankings with Ties, arXiv:1404.3325, with hyperbolic weights,
    as `scipy.stats.weightedtau` computes it by default.
    """
    from scipy.stats import weightedtau

    _require_pairs(scores, accuracies)
    if min(accuracies) == max(accuracies):
        raise UserError(f"{len(accuracies)} candidates of the same accuracy have no order that a score could find.")
    if min(scores) == max(scores):
        return 0.0
    return min(1.0, max(-1.0, float(weightedtau(scores, accuracies).statistic)))


def regret(scores: Sequence[float], accuracies: Sequence[float]) -> float:
    """Return by how much the best candidate beats the one with the highest score, at least 0; lower is better.

    In the unit of the accuracies: points where they are percentages. Of candidates that share the highest score one is
    taken by chance: the mean of their regrets.

    Args:
        scores: one a candidate, higher meaning better.
        accuracies: of the same candidates.

    Raises:
        UserError: another number of accuracies than scores, fewer than two, or a value that is not a number.
    """
    _require_pairs(scores, accuracies)
    chosen = np.asarray(accuracies, dtype=np.float64)[np.asarray(scores) == max(scores)]
    return float(max(accuracies) - chosen.mean())


def _require_pairs(scores: Sequence[float], accuracies: Sequence[float]) -> None:
    if len(scores) != len(accuracies) or len(scores) < 2:
        raise UserError(
            f"{len(scores)} scores and {len(accuracies)} accuracies cannot be compared; "
            f"at least 2 candidates, each with both, are needed."
        )
    if np.isnan(scores).any() or np.isnan(accuracies).any():
        raise UserError("A score or an accuracy is not a number; leave that candidate out.")
