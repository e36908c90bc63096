"""Did the transfer help? A verdict that claims only what the test rows allow."""

from collections.abc import Mapping
from dataclasses import dataclass

from transfer.errors import UserError
from transfer.evaluation.comparison import CAVEAT, Comparison

POSITIVE, NEUTRAL, NEGATIVE, INCONCLUSIVE = "positive", "neutral", "negative", "inconclusive"
_HELPED = {POSITIVE: True, NEGATIVE: False}
_CLAIMS = {
    POSITIVE: "Transfer helped",
    NEGATIVE: "Transfer hurt",
    INCONCLUSIVE: "Whether transfer helped cannot be told from these test images",
}


_UNTRANSFERRED = {
    NEGATIVE: "The model began with random weights, so nothing was transferred, and a simpler one is better",
    INCONCLUSIVE: "The model began with random weights, so nothing was transferred",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be claimed.

    Args:
        verdict: `POSITIVE`, better than every reference; `NEGATIVE`, worse than any of them; `NEUTRAL`, surely no
            further than the margin from the best one; or `INCONCLUSIVE`.
        transfer_helped: True of a positive verdict, False of a negative one, None of others, and where nothing was
            transferred.
        against: the reference the claim is about.
        sentence: the claim in words.
        reasons: what was measured against every reference, a phrase each.
    """

    verdict: str
    transfer_helped: bool | None
    against: str
    sentence: str
    reasons: tuple[str, ...]


def judge(
    comparisons: Mapping[str, Comparison],
    confidence: float,
    *,
    margin: float = 0.0,
    pretrained: bool = True,
    doubt: str = "",
) -> Verdict:
    """Judge the transfer against all models that began with random weights.

    A claim is about the most accurate reference, of two as accurate the one it is harder to tell from; that it hurt,
    about the most accurate of those that are better.

    Args:
        comparisons: reference -> how the model compares with it, see `transfer.evaluation.comparison.together`.
        confidence: of the intervals in the comparisons, in (0, 1).
        margin: gains that are surely closer to 0 do not matter, in [0, 1).
        pretrained: whether the model began with pretrained weights; without them nothing can be claimed of transfer,
            but a model that is surely worse than one of these is called negative all the same.
        doubt: why a better result would not show that transfer helped, in words; empty where it would.

    Raises:
        UserError: there is no reference.
    """
    if not comparisons:
        raise UserError("There is no reference to compare with; run the reference stage with `dvc repro`.")
    best = _best(comparisons)
    found = _found(comparisons, best, margin)
    if not pretrained and found != NEGATIVE:
        found = INCONCLUSIVE
    if found == NEGATIVE:
        best = _best({name: one for name, one in comparisons.items() if one.better is False})
    claim = _claim(found, margin) if pretrained else _UNTRANSFERRED[found]
    if found == POSITIVE and doubt:
        found, claim = INCONCLUSIVE, f"The model is better, but that transfer helped cannot be told, since {doubt}"
    reasons = tuple(reason(one, confidence) for one in comparisons.values())
    sentence = f"{claim}: {reason(best, confidence)} ({CAVEAT})."
    return Verdict(found, _HELPED.get(found) if pretrained else None, best.reference, sentence, reasons)


def reason(comparison: Comparison, confidence: float) -> str:
    """Return what was measured against a reference, in words."""
    points, low, high = (100 * value for value in (comparison.gain.value, comparison.gain.low, comparison.gain.high))
    return (
        f"{points:+.1f} points, {100 * confidence:g} % interval {low:+.1f} to {high:+.1f}, "
        f"McNemar p = {comparison.p_value:.2g} over {comparison.reference}"
    )


def _best(comparisons: Mapping[str, Comparison]) -> Comparison:
    return max(comparisons.values(), key=lambda one: (one.accuracy.value, -one.gain.low))


def _found(comparisons: Mapping[str, Comparison], best: Comparison, margin: float) -> str:
    if best.is_within(margin) and all(one.narrow.low > -margin for one in comparisons.values()):
        return NEUTRAL
    claims = {one.better for one in comparisons.values()}
    return NEGATIVE if False in claims else POSITIVE if claims == {True} else INCONCLUSIVE


def _claim(found: str, margin: float) -> str:
    if found == NEUTRAL:
        return f"Transfer made no difference beyond {100 * margin:g} points"
    return _CLAIMS[found]
