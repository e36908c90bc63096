"""Rank candidates by how well their frozen features separate the target's classes."""

from collections.abc import Sequence

from torch import Tensor

from transfer.data.batches import pooled_pixels
from transfer.records import CandidateScore
from transfer.selection.separability import knn_loo_accuracy, ridge_loo_accuracy


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
    """Say in one sentence why the first candidate won."""
    best = ranked[0]
    floor = f"raw pixels reach {pixels.score:.3f}"
    scores = f"{best.score:.3f} (k-NN {best.knn_loo_accuracy:.3f}, ridge {best.ridge_loo_accuracy:.3f})"
    measured = f"leave-one-out accuracy on {best.n_rows} training rows"
    if len(ranked) == 1:
        return f"{best.reference} was the only candidate; its frozen features reach {scores} {measured}, {floor}."
    second = ranked[1]
    lead = f"{100 * (best.score - second.score):.1f} points ahead of {second.reference}"
    if best.score == second.score:
        lead = f"level with {second.reference}, which has more parameters"
    return f"{best.reference} reaches {scores} {measured}, {lead}; {floor}."
