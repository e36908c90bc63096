"""Rank candidates by how accurate their frozen features let a model be, and say how sure that is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from transfer.data.batches import pooled_pixels
from transfer.records import CandidateScore, Interval
from transfer.selection.decomposition import Decomposition
from transfer.selection.gains import Gains
from transfer.selection.posterior import Posterior, level_set, posterior
from transfer.selection.scores.gbc import gbc
from transfer.selection.scores.hscore import shrunk_hscore
from transfer.selection.scores.knn import knn_loo_accuracy
from transfer.selection.scores.logme import logme
from transfer.selection.scores.ridge import ridge_of
from transfer.selection.scores.sfda import sfda
from transfer.selection.scores.transrate import transrate
from transfer.selection.trials import Tried

PIXELS = "raw pixels"
_OTHERS = {"logme": logme, "shrunk_hscore": shrunk_hscore, "sfda": sfda, "transrate": transrate, "gbc": gbc}
_UNKNOWN = Interval(math.nan, math.nan, math.nan)  # until candidates are compared


@dataclass(frozen=True, slots=True)
class Weights:
    """What is known of a candidate without the target.

    Args:
        reference: as the user wrote it.
        n_parameters: of its trunk.
        sha256: hex digest of its weights file; None for random weights.
        imagenet_top1: published accuracy on ImageNet, in percent; None where there is none.
        licence: of the weights; None where it is unknown.
    """

    reference: str
    n_parameters: int
    sha256: str | None
    imagenet_top1: float | None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate's scores with what they are made of, so that candidates can be compared row by row.

    Args:
        score: what a pool decides is not known yet.
        right: float64 (N,), 1 where ridge regression on all other rows had the row right, else 0.
    """

    score: CandidateScore
    right: Tensor


def score_features(features: Tensor, labels: Tensor, knn_k: int, weights: Weights) -> Scored:
    """Score a candidate from its features, decomposed once.

    Args:
        features: float (N, D) of the training rows.
        labels: int64 (N,).
        knn_k: neighbours of the k-NN score, at least 1.
        weights: whose features they are.

    Raises:
        UserError: fewer than two rows or classes, or a feature that is not finite.
    """
    kept = Decomposition.of(features, labels)
    ridge = ridge_of(kept)
    right = (ridge.scores.argmax(1) == labels).double()
    score = CandidateScore(
        reference=weights.reference,
        accuracy=_UNKNOWN,
        probability_best=math.nan,
        level=False,
        ridge_loo_accuracy=float(right.mean()),
        ridge_loo_error=ridge.error,
        knn_loo_accuracy=knn_loo_accuracy(features, labels, knn_k),
        other_scores=_others(kept),
        imagenet_top1=weights.imagenet_top1,
        n_rows=len(labels),
        feature_dim=features.shape[1],
        n_parameters=weights.n_parameters,
        weights_sha256=weights.sha256,
        licence=weights.licence,
    )
    return Scored(score, right)


def score_pixels(examples: Tensor, labels: Tensor, knn_k: int) -> Scored:
    """Score the downsampled pixels themselves: a floor that any useful backbone clears."""
    return score_features(pooled_pixels(examples), labels, knn_k, Weights(PIXELS, 0, None, None))


def rank(
    candidates: Sequence[Scored],
    labels: Tensor,
    confidence: float,
    beyond: Sequence[str] = (),
    tried: Tried | None = None,
    gains: Gains | None = None,
    seed: int = 0,
) -> tuple[CandidateScore, ...]:
    """Return the scores best first; those that are level for the rows and the weights come before all others.

    Level are the fewest candidates that hold the most accurate one with the given probability. Among these a second
    opinion counts as much as the first: the mean of the leave-one-out accuracies of ridge regression and of nearest
    neighbours, which err in different ways; then the smaller squared error of the regression, the smaller network, the
    one named first. Where level candidates were tried out, the one leads that is believed to be the most accurate.

    Args:
        candidates: scored on the same rows, in the same order.
        labels: of the rows, int64 (N,).
        confidence: of intervals and of the level candidates, in (0, 1).
        beyond: of each candidate the limits that it does not keep, "" where it may be chosen, as at least one may;
            empty where there are no limits. Those that may not be chosen come last.
        tried: what trials of some of them came to; None where there were none.
        gains: what is expected of each beyond its probe, where trials have not told; None leaves it at the probe.
        seed: of the bootstrap.
    """
    limits = beyond or ("",) * len(candidates)
    found, strategies = _after(tried, expected(believed(candidates, labels, seed), gains, seed))
    best, intervals = found.best([not limit for limit in limits]), _intervals(found, confidence)
    level, shifts = level_set(best, confidence), [0.0] * len(best) if gains is None else gains.mean.tolist()
    rows = zip(candidates, intervals, best.tolist(), limits, shifts, strict=True)
    scores = [
        replace(one.score, accuracy=interval, probability_best=chance, level=place in level, beyond=limit, gain=gain)
        for place, (one, interval, chance, limit, gain) in enumerate(rows)
    ]
    named = [replace(score, strategy=strategies.get(place)) for place, score in enumerate(scores)]
    return tuple(sorted(named, key=_place))


def _after(tried: Tried | None, found: Posterior) -> tuple[Posterior, dict[int, str]]:
    """Return what is believed after trials, of each candidate its best arm; and the strategies of these arms."""
    if tried is None:
        return found, {}
    draws, expected, strategies = found.draws.clone(), tried.draws.mean(0), dict[int, str]()
    order = sorted(range(len(tried.arms)), key=lambda place: (float(expected[place]), -place))
    for place in order:  # the best arm of a candidate comes last
        arm = tried.arms[place]
        draws[:, arm.candidate], strategies[arm.candidate] = tried.draws[:, place], arm.strategy
    return Posterior(draws), strategies


def believed(candidates: Sequence[Scored], labels: Tensor, seed: int = 0) -> Posterior:
    """Return what is believed of the accuracies of the candidates' probes; see `transfer.selection.posterior`."""
    import torch

    right = torch.stack([one.right for one in candidates])
    top1 = [one.score.imagenet_top1 for one in candidates]
    return posterior(right, labels, [None if value is None else value / 100 for value in top1], seed)


def expected(probes: Posterior, gains: Gains | None, seed: int = 0) -> Posterior:
    """Return what is believed of fine-tuned models.

    Args:
        probes: what `believed` returned.
        gains: what is expected of each beyond its probe; None for nothing.
        seed: of the draws.
    """
    if gains is None:
        return probes
    return Posterior((probes.draws.logit() + gains.draws(len(probes.draws), seed)).sigmoid())


def floor(pixels: Scored, labels: Tensor, confidence: float) -> CandidateScore:
    """Return the score of the raw pixels with its interval; see `rank`."""
    (interval,) = _intervals(believed([pixels], labels), confidence)
    return replace(pixels.score, accuracy=interval, probability_best=0.0)


def explain(ranked: Sequence[CandidateScore], pixels: CandidateScore, confidence: float, n_runs: int = 0) -> str:
    """Say in one sentence what the first candidate is expected to reach, how sure its place is, and what pixels reach.

    Args:
        ranked: what `rank` returned.
        pixels: what `floor` returned.
        confidence: of the interval.
        n_runs: earlier runs that counted.
    """
    best = ranked[0]
    expected = f"{best.accuracy.value:.3f} ({best.accuracy.low:.3f} to {best.accuracy.high:.3f})"
    bottom = f"raw pixels reach {pixels.accuracy.value:.3f}"
    if best.ridge_loo_accuracy <= pixels.ridge_loo_accuracy:
        bottom = f"but {bottom}, so no candidate knows more of these classes than the pixels show"
    runs = f" and {n_runs} earlier run{'s' if n_runs > 1 else ''}" if n_runs else ""
    rows = f"by {best.n_rows} training rows{runs}, {100 * confidence:g} % interval"
    return f"{best.reference} is expected to reach an accuracy of {expected}, {rows}, {_lead(ranked)}; {bottom}."


def _lead(ranked: Sequence[CandidateScore]) -> str:
    """Say how the first candidate stands to the others."""
    allowed = [score for score in ranked if not score.beyond]
    if len(allowed) == 1:
        return "and is the only candidate" + (" within the limits" if len(ranked) > 1 else "")
    best, second = allowed[:2]
    pool = f"{len(allowed)} within the limits" if len(allowed) < len(ranked) else f"{len(ranked)}"
    chance = f"the best of {pool} with probability {best.probability_best:.2f}"
    if not second.level and best.strategy is None:
        points = 100 * (best.accuracy.value - second.accuracy.value)
        return f"and is {chance}, {points:.1f} points ahead of {second.reference}"
    if best.strategy is not None:
        tried = f"by short fine-tunes of those that the scores left level, with the strategy {best.strategy}"
        return f"and is {chance}, {tried}, ahead of {second.reference} ({second.accuracy.value:.3f})"
    level = f"level with {second.reference} ({second.accuracy.value:.3f}, probability {second.probability_best:.2f})"
    if _two_opinions(best) > _two_opinions(second):
        means = f"{_two_opinions(second):.3f} to {_two_opinions(best):.3f}"
        why = f"whose accuracy is lower where neighbours vote as well ({means})"
    elif best.ridge_loo_error < second.ridge_loo_error:
        why = f"whose squared error is larger ({second.ridge_loo_error:.3f} to {best.ridge_loo_error:.3f})"
    else:
        why = f"which {'has more parameters' if best.n_parameters < second.n_parameters else 'was named later'}"
    return f"and is {chance}, {level}, {why}"


def _two_opinions(score: CandidateScore) -> float:
    """Return the mean leave-one-out accuracy of a linear model and of neighbours, with what is expected beyond.

    Where nothing is, it is that mean to the bit, so that equal ones stay equal.
    """
    mean = (score.ridge_loo_accuracy + score.knn_loo_accuracy) / 2
    return mean if score.gain == 0 or not 0 < mean < 1 else _shifted(mean, score.gain)


def _shifted(share: float, gain: float) -> float:
    return 1 / (1 + (1 - share) / share * math.exp(-gain))


def _place(score: CandidateScore) -> tuple[bool, bool, bool, float, float, int]:
    first = _two_opinions(score) if score.level and score.strategy is None else score.accuracy.value
    chosen_from = (bool(score.beyond), score.strategy is None, not score.level)
    return *chosen_from, -first, score.ridge_loo_error, score.n_parameters


def _intervals(found: Posterior, confidence: float) -> list[Interval]:
    low, high = found.interval(confidence)
    values = found.accuracy()
    return [
        Interval(float(value), float(least), float(most)) for value, least, most in zip(values, low, high, strict=True)
    ]


def _others(kept: Decomposition) -> Mapping[str, float | None]:
    found = {name: score(kept) for name, score in _OTHERS.items()}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
