"""May a challenger take the champion's place? Criteria that it keeps by itself, and a paired comparison.

Superior means that the exact test says so at the confidence, two-sided: of two equally good models the second takes the
place of the first at most one time in forty at 95 %, a worse one less often still. Non-inferior means that a loss of
the margin or more is ruled out; two equal models are that most of the time, so it is no reason by itself.
"""

from dataclasses import dataclass
from typing import Any

from transfer.metrics.intervals import paired_difference
from transfer.metrics.paired_tests import noninferiority_p, superiority_p
from transfer.records import Interval

PROMOTE, KEEP, ASK, REFUSE = "promote", "keep", "ask", "refuse"  # what a decision may come to
SUPERIOR, NON_INFERIOR, INFERIOR, UNPROVEN = "superior", "non-inferior", "inferior", "unproven"
BY_HAND = "by-hand"  # a policy beside SUPERIOR and NON_INFERIOR
SMALLER = 0.9  # share of the champion's size at which a model that is not worse is an improvement
_SHOWN = 1e-9  # what rounding may add to a figure that is compared with its limit


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a model has to keep whoever the champion is; None where a figure does not count.

    Args:
        min_accuracy: that the lower bound of accuracy must reach, in [0, 1].
        min_worst_slice: that the lower bound of accuracy on the worst slice must reach, in [0, 1].
        max_ece: expected calibration error, in [0, 1].
        max_size_mb: megabytes (10^6 bytes) of its weights.
        max_latency_p95_ms: milliseconds in which 95 of 100 single images are through.
    """

    min_accuracy: float | None = None
    min_worst_slice: float | None = None
    max_ece: float | None = None
    max_size_mb: float | None = None
    max_latency_p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a model.

    Args:
        accuracy: on the test rows, with its interval.
        verdict: positive, neutral, negative or inconclusive: whether the transfer helped.
        size_mb: see `Criteria`.
        worst_slice: accuracy on the worst slice, with its interval; None where no slice is large enough.
        ece: see `Criteria`; None where it was not measured.
        latency_p95_ms: see `Criteria`; None where it was not measured.
    """

    accuracy: Interval
    verdict: str
    size_mb: float
    worst_slice: Interval | None = None
    ece: float | None = None
    latency_p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Paired:
    """Challenger and champion on the same rows.

    Args:
        only_challenger: rows that only the challenger got right.
        only_champion: rows that only the champion got right.
        n_rows: all rows that both were asked, at least 1.
    """

    only_challenger: int
    only_champion: int
    n_rows: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a challenger stands to the champion.

    Args:
        relation: superior, inferior, non-inferior or unproven.
        gain: the challenger's accuracy minus the champion's, with its paired interval.
        p_superior: of the exact one-sided test, which is compared with half of what the confidence leaves.
        p_noninferior: of the score test at the margin, one-sided as well.
        sentence: the same in words.
    """

    relation: str
    gain: Interval
    p_superior: float
    p_noninferior: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What a comparison has to say.

    Args:
        needs: superior; non-inferior, where a model that is not worse is promoted if it is smaller; or by-hand, where
            nothing is promoted by itself.
        confidence: of intervals and tests, two-sided, in (0, 1).
        margin: of accuracy that a non-inferior model may lack, in (0, 1).
    """

    needs: str = SUPERIOR
    confidence: float = 0.95
    margin: float = 0.01


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says.

    Args:
        outcome: promote; keep, where the model is the champion already; ask, where nothing speaks against it and a
            person has to say so; refuse.
        sentence: the decision and its main reason.
        reasons: everything that speaks against it, a phrase each.
    """

    outcome: str
    sentence: str
    reasons: tuple[str, ...] = ()


def broken(measured: Measured, criteria: Criteria) -> tuple[str, ...]:
    """Return a phrase for every criterion that a model does not keep."""
    reasons = []
    if measured.verdict == "negative":
        reasons.append("the verdict is negative: the network from scratch or the random frozen one is better")
    if criteria.min_accuracy is not None and measured.accuracy.low < criteria.min_accuracy - _SHOWN:
        reasons.append(f"the lower bound of accuracy is {measured.accuracy.low:.3f}, below {criteria.min_accuracy:g}")
    if criteria.min_worst_slice is not None:
        reasons.extend(_slice_fault(measured.worst_slice, criteria.min_worst_slice))
    figures = (
        ("the calibration error", measured.ece, criteria.max_ece, ""),
        ("the size", measured.size_mb, criteria.max_size_mb, " MB"),
        ("the 95th percentile of latency", measured.latency_p95_ms, criteria.max_latency_p95_ms, " ms"),
    )
    for what, value, limit, unit in figures:
        if limit is not None and value is None:
            reasons.append(f"{what} was not measured")
        elif limit is not None and value is not None and value > limit + _SHOWN:
            reasons.append(f"{what} is above {limit:g}{unit}")
    return tuple(reasons)


def _slice_fault(worst: Interval | None, limit: float) -> list[str]:
    if worst is None:
        return ["the worst slice is not known, since no slice has enough test images"]
    if worst.low < limit - _SHOWN:
        return [f"the lower bound of accuracy on the worst slice is {worst.low:.3f}, below {limit:g}"]
    return []


def compared(paired: Paired, policy: Policy) -> Standing:
    """Say how a challenger stands to the champion.

    Args:
        paired: what both said of the same rows.
        policy: gives the confidence and the margin.
    """
    level = (1 - policy.confidence) / 2
    counts = paired.only_challenger, paired.only_champion
    gain = paired_difference(*counts, paired.n_rows, policy.confidence)
    p_superior, p_worse = superiority_p(*counts), superiority_p(*reversed(counts))
    p_noninferior = noninferiority_p(*counts, paired.n_rows, policy.margin)
    if p_superior <= level:
        relation = SUPERIOR
    elif p_worse <= level:
        relation = INFERIOR
    else:
        relation = NON_INFERIOR if p_noninferior <= level else UNPROVEN
    points, low, high = (100 * value for value in (gain.value, gain.low, gain.high))
    sentence = (
        f"{points:+.1f} points against the champion on {paired.n_rows} test images, "
        f"{100 * policy.confidence:g} % interval {low:+.1f} to {high:+.1f}; only the challenger got {counts[0]} right, "
        f"only the champion {counts[1]}; exact one-sided p = {p_superior:.2g}"
    )
    return Standing(relation, gain, p_superior, p_noninferior, sentence)


def first(failed: tuple[str, ...], policy: Policy) -> Decision:
    """Decide where there is no champion yet.

    Args:
        failed: what `broken` returned.
        policy: what has to be said.
    """
    by_hand = Decision(ASK, "There is no champion yet, and promotion is by hand.", ("promotion is by hand",))
    promoted = Decision(PROMOTE, "Promoted: there was no champion, and every criterion is kept.")
    return _unopposed(failed, policy, by_hand, promoted)


def against(failed: tuple[str, ...], standing: Standing, policy: Policy, smaller: bool) -> Decision:
    """Decide between a challenger and the champion.

    Args:
        failed: what `broken` returned.
        standing: how they compare.
        policy: what has to be said.
        smaller: whether the challenger takes at most `SMALLER` of the champion's size.
    """
    reasons = (*failed, *_short_of(standing, policy, smaller))
    if not reasons:
        extra = "" if standing.relation == SUPERIOR else ", and smaller"
        return Decision(PROMOTE, f"Promoted as {standing.relation}{extra}: {standing.sentence}.")
    if not failed and standing.relation in (SUPERIOR, NON_INFERIOR):
        return Decision(ASK, f"Left to a person: {'; '.join(reasons)}; {standing.sentence}.", reasons)
    return Decision(REFUSE, f"Not promoted: {'; '.join(reasons)}; {standing.sentence}.", reasons)


def incomparable(failed: tuple[str, ...], problem: str) -> Decision:
    """Decide where the champion cannot be compared with.

    Args:
        failed: what `broken` returned.
        problem: why not, a phrase.
    """
    if failed:
        return _refused((*failed, problem))
    return Decision(ASK, f"Left to a person: {problem}.", (problem,))


def again(failed: tuple[str, ...], policy: Policy) -> Decision:
    """Decide where the challenger is the champion's model itself, with the code of today.

    Args:
        failed: what `broken` returned.
        policy: what has to be said.
    """
    by_hand = Decision(ASK, "It is the champion's model with other code, and promotion is by hand.", ("by hand",))
    promoted = Decision(PROMOTE, "Promoted: it is the champion's model, with the code of today.")
    return _unopposed(failed, policy, by_hand, promoted)


def plain(decision: Decision, standing: Standing | None = None, paired: Paired | None = None) -> dict[str, Any]:
    """Return a decision and what it rests on as JSON-able values."""
    found: dict[str, Any] = {"outcome": decision.outcome, "sentence": decision.sentence, "reasons": [*decision.reasons]}
    if standing is not None and paired is not None:
        found |= {
            "relation": standing.relation,
            "gain": standing.gain.value,
            "gain_low": standing.gain.low,
            "gain_high": standing.gain.high,
            "p_superior": standing.p_superior,
            "p_noninferior": standing.p_noninferior,
            "only_challenger": paired.only_challenger,
            "only_champion": paired.only_champion,
            "n_rows": paired.n_rows,
        }
    return found


def _short_of(standing: Standing, policy: Policy, smaller: bool) -> tuple[str, ...]:
    """Return what a comparison lacks under a policy; a model that is worse lacks it under every one."""
    points = f"{100 * policy.margin:g} point{'' if policy.margin == 0.01 else 's'}"
    if policy.needs == BY_HAND and standing.relation in (SUPERIOR, NON_INFERIOR):
        return (f"{standing.relation}, but promotion is by hand",)
    if standing.relation == SUPERIOR:
        return ()
    if standing.relation == INFERIOR:
        return ("the champion is better",)
    if standing.relation == UNPROVEN:
        return (f"it is neither shown to be better nor to be at most {points} worse",)
    if policy.needs != NON_INFERIOR:
        return (f"at most {points} worse than the champion, but not shown to be better",)
    return () if smaller else (f"at most {points} worse than the champion, but not smaller by a tenth",)


def _unopposed(failed: tuple[str, ...], policy: Policy, by_hand: Decision, promoted: Decision) -> Decision:
    """Decide where there is no other model to be better than."""
    if failed:
        return _refused(failed)
    return by_hand if policy.needs == BY_HAND else promoted


def _refused(reasons: tuple[str, ...]) -> Decision:
    return Decision(REFUSE, f"Not promoted: {'; '.join(reasons)}.", reasons)
