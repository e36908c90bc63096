"""What to change where transfer hurt, rung by rung, and when to stop: decided on validation rows alone.

The test rows have said once that the model is worse than one without transfer. A rung is therefore not asked to be
surely worse before it is left: it has to be at least as accurate as every reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transfer.evaluation.verdict import NEGATIVE
from transfer.metrics.classification import Labels, accuracy

__all__ = ["NEGATIVE", "Rung", "Start", "Validated", "rungs", "validated"]

NORMS, UNFREEZE, REGULARISE, BACKBONE, SCRATCH = "norms", "unfreeze", "regularise", "backbone", "scratch"
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
    """

    settings: Mapping[str, Any]
    others: tuple[str, ...]
    behind: tuple[str, ...]
    keeps_statistics: bool
    has_own_statistics: bool


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


def rungs(start: Start) -> tuple[Rung, ...]:
    """Return all rungs in order, those that would change nothing with the reason; the last one always holds.

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
    return [
        Rung(
            BACKBONE,
            f"the next backbone, {other}",
            {CANDIDATES: [other, *(one for one in start.behind[start.behind.index(other) + 1 :])]},
            anew=True,
        )
        for other in start.others
    ]
