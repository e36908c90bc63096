"""What to change where transfer hurt, rung by rung, and when to stop: decided on validation rows alone.

The test rows have said once that the model is worse than one without transfer. A rung is therefore not asked to be
surely worse before it is left: it has to be at least as accurate as every reference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transfer.errors import UserError
from transfer.metrics.classification import Labels, accuracy

NORMS, UNFREEZE, REGULARISE, BACKBONE, SCRATCH = "norms", "unfreeze", "regularise", "backbone", "scratch"
NOTHING = "none"
STRATEGY, HEAD, STATISTICS, CANDIDATES = (
    "finetune.strategy",
    "finetune.head",
    "finetune.norms",
    "select.candidates",
)
L2_SP, BSS = "finetune.l2_sp", "finetune.bss"
_L2_SP, _BSS = 0.01, 0.001  # what the authors of both methods take
_UNTRAINED = ("forest", "knn")  # heads that no step can train
_FULL, _SCRATCH, _REESTIMATED, _TRAINED, _AUTO, _RIDGE = "full", "scratch", "reestimated", "trained", "auto", "ridge"


@dataclass(frozen=True, slots=True)
class Rung:
    """One thing to change.

    Args:
        name: of its kind.
        says: what it does, a phrase.
        changes: dotted parameter -> value.
        anew: whether it begins with the parameters that were asked for, whatever the rungs before it left.
        skipped: why it would change nothing, a phrase; empty where it is tried.
    """

    name: str
    says: str
    changes: Mapping[str, Any]
    anew: bool = False
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """What the ladder is climbed from.

    Args:
        settings: dotted parameter -> value: strategy, head, norms, l2_sp and bss of `finetune`.
        others: pretrained candidates that the ranking holds behind its winner, the best first.
        behind: all candidates behind the winner, in the same order.
        keeps_statistics: whether the winner's trunk has norm layers that keep running statistics.
        has_own_statistics: whether they are those of the training images already.
        barred: candidates whose model could not be used -> why, a phrase; they neither are tried nor compete.
    """

    settings: Mapping[str, Any]
    others: tuple[str, ...]
    behind: tuple[str, ...]
    keeps_statistics: bool
    has_own_statistics: bool
    barred: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Validated:
    """How a model does on validation rows beside the references.

    Args:
        accuracy: of the model.
        nll: mean negative log likelihood of the model, nats.
        references: reference -> its accuracy.
    """

    accuracy: float
    nll: float
    references: Mapping[str, float]

    @property
    def holds(self) -> bool:
        """Say whether the model is at least as accurate as every reference."""
        return all(self.accuracy >= value for value in self.references.values())

    @property
    def holds_alone(self) -> bool:
        """Say the same of a model that is itself trained from random weights, as the reference from scratch is."""
        return all(self.accuracy >= value for name, value in self.references.items() if name != SCRATCH)


@dataclass(frozen=True, slots=True)
class Tried:
    """What a rung came to.

    Args:
        rung: which.
        found: how its model does; None where it was skipped or failed.
        failed: why it could not be tried, a sentence; empty where it could.
    """

    rung: Rung
    found: Validated | None = None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Climbed:
    """What a climb came to.

    Args:
        stands: name of the rung that stands; `NOTHING` where none holds.
        settings: the parameters that stand, dotted parameter -> value.
        tried: every rung up to the one that stands.
    """

    stands: str
    settings: Mapping[str, Any]
    tried: tuple[Tried, ...]


def rungs(start: Start) -> tuple[Rung, ...]:
    """Return all rungs in order, those that would change nothing with the reason.

    Args:
        start: what is climbed from.
    """
    if start.settings[STRATEGY] == _SCRATCH:
        return ()
    alone = Rung(
        SCRATCH,
        "random weights instead of pretrained ones: no transfer",
        {STRATEGY: _SCRATCH, HEAD: _RIDGE, STATISTICS: _AUTO},
        anew=True,
    )
    return (_norms(start), _unfreeze(start), _regularise(start), *_backbones(start), alone)


def climbed(start: Start, now: Validated, attempt: Callable[[Mapping[str, Any]], Validated]) -> Climbed:
    """Try rungs until one holds; return what was tried and the parameters that stand.

    A rung that does not hold is undone, unless its loss is the lowest so far: then the next one begins with it. The
    last rung, without transfer, has to be no worse than the random frozen reference. Where none holds, the parameters
    of the lowest loss stand, those that were asked for among them, and the verdict stays what it is.

    Args:
        start: what is climbed from.
        now: how its model does.
        attempt: fine-tunes with parameters, and returns how that model does; a `UserError` says why it cannot.
    """
    base, best, tried = dict(start.settings), now, list[Tried]()
    for rung in rungs(start):
        if rung.skipped:
            tried.append(Tried(rung))
            continue
        settings = {**(start.settings if rung.anew else base), **rung.changes}
        try:
            found = attempt(settings)
        except UserError as error:
            tried.append(Tried(rung, failed=str(error)))
            continue
        tried.append(Tried(rung, found))
        if found.holds or (rung.name == SCRATCH and found.holds_alone):
            return Climbed(rung.name, settings, tuple(tried))
        if found.nll < best.nll and not rung.anew:
            base, best = settings, found
    return Climbed(NOTHING, base, tuple(tried))


def validated(actual: Labels, shares: NDArray[np.float64], references: Mapping[str, NDArray[np.float64]]) -> Validated:
    """Return how a model does beside references.

    Args:
        actual: int64 (N,).
        shares: the model's probabilities, float64 (N, C).
        references: reference -> its probabilities, float64 (N, C).
    """
    tiny = np.finfo(np.float64).tiny
    nll = float(-np.log(shares[np.arange(len(actual)), actual].clip(tiny)).mean())
    others = {name: accuracy(actual, one.argmax(axis=1)) for name, one in references.items()}
    return Validated(accuracy(actual, shares.argmax(axis=1)), nll, others)


def _norms(start: Start) -> Rung:
    skipped = ""
    if not start.keeps_statistics:
        skipped = "no norm layer keeps statistics"
    elif start.has_own_statistics or start.settings[STATISTICS] in (_REESTIMATED, _TRAINED):
        skipped = "they are those of the training images already"
    return Rung(NORMS, "norm statistics of the training images", {STATISTICS: _REESTIMATED}, skipped=skipped)


def _unfreeze(start: Start) -> Rung:
    skipped = "every layer is trained from the first step on already" if start.settings[STRATEGY] == _FULL else ""
    return Rung(UNFREEZE, "every layer trained from the first step on", _trained(start), skipped=skipped)


def _regularise(start: Start) -> Rung:
    changes: dict[str, Any] = {}
    if start.settings[BSS] == 0:
        changes[BSS] = _BSS
    if start.settings[L2_SP] in (_AUTO, 0):
        changes[L2_SP] = _L2_SP
    says = "held near the pretrained weights, the smallest singular values of features shrunk"
    if not changes:
        return Rung(REGULARISE, says, {}, skipped="both weights are set already")
    return Rung(REGULARISE, says, {**_trained(start), **changes})


def _trained(start: Start) -> dict[str, Any]:
    head = {HEAD: _RIDGE} if start.settings[HEAD] in _UNTRAINED else {}
    return {STRATEGY: _FULL, **head}


def _backbones(start: Start) -> Sequence[Rung]:
    if not start.others:
        return (Rung(BACKBONE, "the next backbone", {}, skipped="no other pretrained candidate is ranked"),)
    return [_backbone(start, other) for other in start.others]


def _backbone(start: Start, other: str) -> Rung:
    says = f"the next backbone, {other}"
    if other in start.barred:
        return Rung(BACKBONE, says, {}, skipped=f"{other}: {start.barred[other]}")
    rest = start.behind[start.behind.index(other) :]
    return Rung(BACKBONE, says, {CANDIDATES: [one for one in rest if one not in start.barred]}, anew=True)
