"""Did the transfer help? Models compared on the same rows, and a verdict that claims only what the interval allows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transfer.errors import UserError
from transfer.metrics.classification import Labels, accuracy
from transfer.metrics.intervals import mcnemar_p, mean_of_strata, paired_difference, wilson_interval
from transfer.records import Interval

CAVEAT = "equal images seen, not converged"
_CLAIMS = {
    True: "Transfer helped",
    False: "Transfer hurt",
    None: "Whether transfer helped cannot be told from these test images",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against one reference on the same rows.

    Args:
        reference: name of the reference.
        accuracy: the reference's, with its interval.
        gain: the model's accuracy minus the reference's, with its paired interval.
        p_value: exact McNemar, two-sided.
        better: whether the model is better (True) or worse (False), claimed only where the interval of the gain
            excludes 0 and the exact test agrees at the same confidence; None otherwise.
    """

    reference: str
    accuracy: Interval
    gain: Interval
    p_value: float
    better: bool | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be claimed.

    Args:
        transfer_helped: whether the model is better than that reference; None where that cannot be told, or where the
            model began with random weights, so that nothing was transferred.
        against: the reference the claim is about, the more accurate one.
        sentence: the claim in words.
        reasons: what was measured against every reference, a phrase each.
    """

    transfer_helped: bool | None
    against: str
    sentence: str
    reasons: tuple[str, ...]


def accuracy_interval(actual: Labels, predicted: Labels, confidence: float) -> Interval:
    """Return the accuracy with its Wilson interval."""
    n_right = round(accuracy(actual, predicted) * len(actual))
    return wilson_interval(n_right, len(actual), confidence)


def balanced_accuracy(actual: Labels, predicted: Labels, confidence: float) -> Interval:
    """Return the mean of the classes' recalls with its interval, from the Wilson interval of each.

    Args:
        actual: int64 (N,).
        predicted: int64 (N,).
        confidence: of the interval, in (0, 1).
    """
    return mean_of_strata([accuracy_interval(*rows, confidence) for rows in _by_class(actual, predicted)])


def balanced_gain(actual: Labels, predicted: Labels, by_reference: Labels, confidence: float) -> Interval:
    """Return the balanced accuracy minus the reference's on the same rows, with its interval (values in [-1, 1]).

    Args:
        actual: int64 (N,).
        predicted: the model's classes, int64 (N,).
        by_reference: the reference's classes, int64 (N,).
        confidence: of the interval, in (0, 1).
    """
    parts = []
    for label in np.unique(actual):
        right, reference_right = (found[actual == label] == label for found in (predicted, by_reference))
        only = int(np.sum(right & ~reference_right)), int(np.sum(~right & reference_right))
        parts.append(paired_difference(*only, len(right), confidence))
    return mean_of_strata(parts, low=-1.0)


def _by_class(actual: Labels, predicted: Labels) -> list[tuple[Labels, Labels]]:
    return [(actual[actual == label], predicted[actual == label]) for label in np.unique(actual)]


def compare(actual: Labels, predicted: Labels, reference: str, by_reference: Labels, confidence: float) -> Comparison:
    """Compare a model with a reference.

    Args:
        actual: int64 (N,).
        predicted: the model's classes, int64 (N,).
        reference: the reference's name.
        by_reference: the reference's classes, int64 (N,).
        confidence: of both intervals, in (0, 1).
    """
    right, reference_right = predicted == actual, by_reference == actual
    only_model = int(np.sum(right & ~reference_right))
    only_reference = int(np.sum(~right & reference_right))
    gain = paired_difference(only_model, only_reference, len(actual), confidence)
    p_value = mcnemar_p(only_model, only_reference)
    better = _direction(gain) if p_value < 1 - confidence else None
    return Comparison(reference, accuracy_interval(actual, by_reference, confidence), gain, p_value, better)


def judge(comparisons: Mapping[str, Comparison], confidence: float, *, pretrained: bool = True) -> Verdict:
    """Judge the transfer against the more accurate reference; of two as accurate, the one it is harder to tell from.

    Args:
        comparisons: reference -> how the model compares with it.
        confidence: of the intervals in the comparisons, in (0, 1).
        pretrained: whether the model began with pretrained weights; without them nothing can be claimed of transfer.

    Raises:
        UserError: there is no reference.
    """
    if not comparisons:
        raise UserError("There is no reference to compare with; run the reference stage with `dvc repro`.")
    best = max(comparisons.values(), key=lambda one: (one.accuracy.value, -one.gain.low))
    helped = best.better if pretrained else None
    claim = _CLAIMS[helped] if pretrained else "The model began with random weights, so nothing was transferred"
    reasons = tuple(_reason(one, confidence) for one in comparisons.values())
    return Verdict(helped, best.reference, f"{claim}: {_reason(best, confidence)} ({CAVEAT}).", reasons)


def _direction(gain: Interval) -> bool | None:
    return True if gain.low > 0 else False if gain.high < 0 else None


def _reason(comparison: Comparison, confidence: float) -> str:
    points, low, high = (100 * value for value in (comparison.gain.value, comparison.gain.low, comparison.gain.high))
    return (
        f"{points:+.1f} points, {100 * confidence:g} % interval {low:+.1f} to {high:+.1f}, "
        f"McNemar p = {comparison.p_value:.2g} over {comparison.reference}"
    )
