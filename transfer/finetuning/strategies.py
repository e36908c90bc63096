"""Strategies by name: which steps follow the probe, and what each of them trains.

Source: gradual unfreezing, Howard and Ruder 2018, arXiv:1801.06146, section 3.3; norms alone, Frankle, Schwab and
Morcos 2021, arXiv:2003.00152; biases alone, Ben Zaken, Ravfogel and Goldberg 2022, "BitFit", arXiv:2106.10199.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transfer.backbones.backbone import Backbone
from transfer.errors import UserError
from transfer.finetuning.freezing import BIASES, HEAD, SCALES, selected
from transfer.finetuning.plan import Step, scratch_plan, staged_plan

STAGED, FEATURES, GRADUAL, FULL = "staged", "features", "gradual", "full"
NORM_ONLY, BIAS_ONLY, SCRATCH = "norm-only", "bias-only", "scratch"
LAST = "last-"  # and how many groups
NAMES = (STAGED, FEATURES, GRADUAL, FULL, NORM_ONLY, BIAS_ONLY, SCRATCH)

_OF_GROUPS = {NORM_ONLY: SCALES, BIAS_ONLY: BIASES}
_FEW_WEIGHTS = 10.0  # times the rate of all weights: BitFit's authors search 1e-4 to 1e-3, for all weights 1e-5 to 5e-5


@dataclass(frozen=True, slots=True)
class Rates:
    """Peak learning rates.

    Args:
        head: of the head.
        backbone: of the deepest group.
        decay: factor by which each shallower group learns more slowly, at least 1.
        scratch: of everything, where training begins with random weights.
    """

    head: float
    backbone: float
    decay: float
    scratch: float


def keeps_trunk(strategy: str) -> bool:
    """Say whether a strategy fits a head and leaves the trunk as it is, norm statistics included."""
    return strategy == FEATURES


def is_from_scratch(strategy: str) -> bool:
    """Say whether a strategy begins with random weights and without a probe."""
    return strategy == SCRATCH


def steps_of(strategy: str, backbone: Backbone, rates: Rates, *, adapts_norms: bool) -> tuple[Step, ...]:
    """Return the steps of a strategy for a backbone.

    Args:
        strategy: one of `NAMES`, or `last-N` with N from 1 to the number of depth groups.
        backbone: that will be trained.
        rates: of the steps.
        adapts_norms: whether the norm statistics of trained groups are adapted.

    Raises:
        UserError: the backbone does not have so many groups, or nothing that the strategy trains.
    """
    names = [group.name for group in backbone.depth_groups]
    if keeps_trunk(strategy):
        return ()
    if is_from_scratch(strategy):
        return (scratch_plan(names, rates.scratch),)
    staged = staged_plan(names, rates.head, rates.backbone, rates.decay, adapts_norms=adapts_norms)
    if strategy == STAGED:
        return staged
    whole = staged[-1]
    if strategy == GRADUAL:
        return tuple(_deepest(whole, n_groups, len(names)) for n_groups in range(1, len(names) + 1))
    if strategy.startswith(LAST):
        return (_deepest(whole, _n_groups(strategy, backbone), len(names)),)
    return (whole,) if strategy == FULL else (_partial(whole, strategy, backbone),)


def _n_groups(strategy: str, backbone: Backbone) -> int:
    n_groups, n_there = int(strategy.removeprefix(LAST)), len(backbone.depth_groups)
    if n_groups > n_there:
        raise UserError(
            f"finetune.strategy is {strategy!r}, but {backbone.reference} has {n_there} depth groups; "
            f"make it at most {LAST}{n_there}."
        )
    return n_groups


def _deepest(whole: Step, n_groups: int, n_there: int) -> Step:
    """Return the step that trains the deepest groups and the head, as it is called in every strategy."""
    if n_groups == n_there:
        return whole
    kept: Sequence[str] = [*whole.rates][-(n_groups + 1) :]
    return replace(whole, name=f"{LAST}{n_groups}", rates={name: whole.rates[name] for name in kept})


def _partial(whole: Step, strategy: str, backbone: Backbone) -> Step:
    """Return the step that trains a part of every group which has such a part."""
    trains = _OF_GROUPS[strategy]
    holding = [group.name for group in backbone.depth_groups if selected(backbone, group, trains)]
    if not holding:
        raise UserError(
            f"finetune.strategy is {strategy!r}, but {backbone.reference} has no {trains}; choose another strategy, "
            f"such as {STAGED}."
        )
    rates = {name: min(1.0, _FEW_WEIGHTS * whole.rates[name]) for name in holding}
    return Step(strategy, {**rates, HEAD: whole.rates[HEAD]}, whole.adapts_norms, trains=trains)
