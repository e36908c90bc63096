"""Rank candidates by how well their frozen features separate the target's classes."""

from collections.abc import Sequence

from torch import Tensor

from transfer.data.batches import pooled_pixels
from transfer.records import CandidateScore
from transfer.selection.knn import knn_loo_accuracy
from transfer.selection.ridge import ridge_loo_accuracy


def score_features(
    features: Tensor, labels: Tensor, knn_k: int, reference: str, n_parameters: int, weights_sha256: str | None
) -> CandidateScore:
    """Score a candidate from its features.

    Args:
        features: float (N, D) of the training rows.
        labels: int64 (N,).
        knn_k: neighbours of the k-NN score, at least 1.
        reference: the candidate as the user wrote it.
        n_parameters: of its trunk.
        weights_sha256: hex digest of its weights file; None for random weights.
    """
    knn = knn_loo_accuracy(features, labels, knn_k)
    ridge = ridge_loo_accuracy(features, labels)
    return CandidateScore(
        reference=reference,
        knn_loo_accuracy=knn,
        ridge_loo_accuracy=ridge,
        score=(knn + ridge) / 2,
        n_rows=len(labels),
        feature_dim=features.shape[1],
        n_parameters=n_parameters,
        weights_sha256=weights_sha256,
    )


def score_pixels(examples: Tensor, labels: Tensor, knn_k: int) -> CandidateScore:
    """Score the downsampled pixels themselves: a floor that any useful backbone clears."""
    return score_features(pooled_pixels(examples), labels, knn_k, "raw pixels", 0, None)


def rank(scores: Sequence[CandidateScore]) -> tuple[CandidateScore, ...]:
    """Return the candidates best first; the smaller one wins a tie, then the one named first."""
    return tuple(sorted(scores, key=lambda score: (-score.score, score.n_parameters)))


def explain(ranked: Sequence[CandidateScore], pixels: CandidateScore) -> str:
    """Say in one sentence why the first candidate won, by how much, and how far it is above the raw pixels.

    Args:
        ranked: what `rank` returned.
        pixels: what `score_pixels` returned.
    """
    best = ranked[0]
    scores = f"{best.score:.3f} (k-NN {best.knn_loo_accuracy:.3f}, ridge {best.ridge_loo_accuracy:.3f})"
    measured = f"leave-one-out accuracy on {best.n_rows} training rows"
    if len(ranked) == 1:
        lead = "the only candidate"
    elif best.score == ranked[1].score:
        lead = f"level with {ranked[1].reference}, {_tie_breaker(best, ranked[1])}"
    else:
        lead = f"{100 * (best.score - ranked[1].score):.1f} points ahead of {ranked[1].reference}"
    floor = f"raw pixels reach {pixels.score:.3f}"
    if best.score <= pixels.score:
        floor = f"but {floor}, so no candidate knows more of these classes than the pixels show"
    return f"{best.reference} reaches {scores} {measured}, {lead}; {floor}."


def _tie_breaker(best: CandidateScore, second: CandidateScore) -> str:
    return "which has more parameters" if best.n_parameters < second.n_parameters else "which was named later"
