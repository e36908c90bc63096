"""What is trained when: a plan maps depth groups to learning rates, step by step.

Source: linear probing before fine-tuning, Kumar et al. 2022, arXiv:2202.10054; discriminative rates and gradual
unfreezing, Howard and Ruder 2018, arXiv:1801.06146, section 3.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transfer.finetuning.freezing import EVERYTHING, HEAD

PROBE, NORMS, REFIT = "probe", "norms", "refit"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan.

    Args:
        name: what history calls it.
        rates: group name -> learning rate; a group without one is frozen.
        adapts_norms: whether the trained groups also adapt their norm statistics. Weights that were trained before keep
            theirs: the head was fitted to features under them, and statistics of small batches would undo that.
        searched: names of groups whose rates a search scales before the step, see `transfer.finetuning.rates`.
        trains: which parameters of the trunk's groups, see `transfer.finetuning.freezing`; the head is trained whole.
    """

    name: str
    rates: Mapping[str, float]
    adapts_norms: bool = False
    searched: tuple[str, ...] = ()
    trains: str = EVERYTHING


def staged_plan(
    groups: Sequence[str], head_lr: float, backbone_lr: float, lr_decay: float, *, adapts_norms: bool = False
) -> tuple[Step, ...]:
    """Return the steps that follow the probe: the deepest group with the head, then everything.

    Args:
        groups: the trunk's depth groups, shallow to deep.
        head_lr: learning rate of the head.
        backbone_lr: learning rate of the deepest group.
        lr_decay: factor by which each shallower group learns more slowly, at least 1.
        adapts_norms: True for random weights, whose norm statistics describe nothing yet.
    """
    rates = {name: backbone_lr / lr_decay**depth for depth, name in enumerate(reversed(groups))}
    return (
        Step("last", {groups[-1]: backbone_lr, HEAD: head_lr}, adapts_norms),
        Step("all", {**dict(reversed(rates.items())), HEAD: head_lr}, adapts_norms),
    )


def scratch_plan(groups: Sequence[str], learning_rate: float) -> Step:
    """Return a step that trains every group and the head at one rate, norm statistics with them."""
    return Step("scratch", dict.fromkeys((*groups, HEAD), learning_rate), adapts_norms=True)
