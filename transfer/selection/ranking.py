"""Rank candidates by how well their frozen features separate the target's classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from transfer.data.batches import pooled_pixels
from transfer.records import CandidateScore
from transfer.selection.scores.knn import knn_without_one
from transfer.selection.scores.ridge import ridge_without_one

_TIE_Z = 1.96  # standard errors within which a lead is noise: the 95 % point of the normal distribution


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate's score with what it is the mean of, so that candidates can be compared row by row.

    Args:
        score: `tied` is not known yet.
        right: float64 (N,), the share of the two classifiers that had each row right: 0, 0.5 or 1.
    """

    score: CandidateScore
    right: Tensor


def score_features(
    features: Tensor, labels: Tensor, knn_k: int, reference: str, n_parameters: int, weights_sha256: str | None
) -> Scored:
    """Score a candidate from its features.

    Args:
        features: float (N, D) of the training rows.
        labels: int64 (N,).
        knn_k: neighbours of the k-NN score, at least 1.
        reference: the candidate as the user wrote it.
        n_parameters: of its trunk.
        weights_sha256: hex digest of its weights file; None for random weights.
    """
    ridge = ridge_without_one(features, labels)
    knn_right = (knn_without_one(features, labels, knn_k) == labels).double()
    ridge_right = (ridge.scores.argmax(1) == labels).double()
    right = (knn_right + ridge_right) / 2
    score = CandidateScore(
        reference=reference,
        knn_loo_accuracy=float(knn_right.mean()),
        ridge_loo_accuracy=float(ridge_right.mean()),
        ridge_loo_error=ridge.error,
        score=float(right.mean()),
        tied=False,
        n_rows=len(labels),
        feature_dim=features.shape[1],
        n_parameters=n_parameters,
        weights_sha256=weights_sha256,
    )
    return Scored(score, right)


def score_pixels(examples: Tensor, labels: Tensor, knn_k: int) -> CandidateScore:
    """Score the downsampled pixels themselves: a floor that any useful backbone clears."""
    return score_features(pooled_pixels(examples), labels, knn_k, "raw pixels", 0, None).score


def rank(candidates: Sequence[Scored]) -> tuple[CandidateScore, ...]:
    """Return the scores best first, those that the rows do not tell from the highest one before all others.

    Among these, counting right rows has no more to say: the smallest squared error of the ridge regression leads, whose
    linear scores are the nearest to the probe that fine-tuning begins with; then the smaller network, then the one
    named first.

    Args:
        candidates: scored on the same rows, in the same order.
    """
    best = max(candidates, key=lambda one: one.score.score)
    scores = [replace(one.score, tied=_within_noise(best.right - one.right)) for one in candidates]
    return tuple(sorted(scores, key=_place))


def _place(score: CandidateScore) -> tuple[bool, float, int]:
    return not score.tied, score.ridge_loo_error if score.tied else -score.score, score.n_parameters


def _within_noise(lead: Tensor) -> bool:
    """Tell whether a mean lead, float64 (N,), is no larger than 1.96 of its standard errors."""
    return float(lead.mean()) <= _TIE_Z * float(lead.std()) / math.sqrt(len(lead))


def explain(ranked: Sequence[CandidateScore], pixels: CandidateScore) -> str:
    """Say in one sentence why the first candidate won, by how much, and how far it is above the raw pixels.

    Args:
        ranked: what `rank` returned.
        pixels: what `score_pixels` returned.
    """
    best = ranked[0]
    scores = f"{best.score:.3f} (k-NN {best.knn_loo_accuracy:.3f}, ridge {best.ridge_loo_accuracy:.3f})"
    measured = f"leave-one-out accuracy on {best.n_rows} training rows"
    floor = f"raw pixels reach {pixels.score:.3f}"
    if best.score <= pixels.score:
        floor = f"but {floor}, so no candidate knows more of these classes than the pixels show"
    return f"{best.reference} reaches {scores} {measured}, {_lead(ranked)}; {floor}."


def _lead(ranked: Sequence[CandidateScore]) -> str:
    """Say how the first candidate stands to the second."""
    if len(ranked) == 1:
        return "the only candidate"
    best, second = ranked[:2]
    if not second.tied:
        return f"{100 * (best.score - second.score):.1f} points ahead of {second.reference}"
    level = f"level within noise with {second.reference} ({second.score:.3f})"
    if best.ridge_loo_error < second.ridge_loo_error:
        return f"{level}, whose squared error is larger ({second.ridge_loo_error:.3f} to {best.ridge_loo_error:.3f})"
    return f"{level}, which {'has more parameters' if best.n_parameters < second.n_parameters else 'was named later'}"
