"""What the steps of fine-tuning cost on this machine, and what a budget leaves of them: measured, or read again."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.devices import free_device_bytes
from tasks import decisions
from tasks.automatic import fitting_batch_size
from tasks.checkpoints import Checkpoints
from tasks.params_blocks import FinetuneParams
from tasks.training_group import TrainingGroup
from transfer.errors import UserError

if TYPE_CHECKING:
    from transfer.backbones.backbone import Classifier
    from transfer.data.examples import Target
    from transfer.finetuning.budget import Budget
    from transfer.finetuning.caching import Execute, Keep
    from transfer.finetuning.planning import StepCost, StepPlan
    from transfer.finetuning.problem import Problem


@dataclass(frozen=True)
class Work:
    """What is decided and trained, and by whom."""

    classifier: "Classifier"
    target: "Target"
    limits: "Budget"
    settings: FinetuneParams
    checkpoints: Checkpoints
    execute: "Execute"
    group: TrainingGroup


def decided(work: Work, plans: "tuple[StepPlan, ...]", began: float) -> "tuple[StepPlan, ...]":
    """Return the plans with what was measured on this machine: by an earlier run of the same inputs, or now.

    Args:
        work: what is trained.
        plans: of its steps.
        began: when fine-tuning did, on the clock of `time.perf_counter`: the budget runs from there.

    Raises:
        UserError: the budget leaves nothing of a training from scratch.
    """
    from transfer.finetuning.planning import within

    project, key, budget_s = Path.cwd(), work.checkpoints.key, work.settings.budget_s
    device, local_size = work.group.engine.device, work.group.place.local_size
    known = decisions.recalled(project, key, plans)
    if known is not None and decisions.fit(known, free_device_bytes(device, local_size)):
        return known
    if known is not None:  # lengths and batches stay, whatever the clock says now; how many images go at once may not
        decisions.keep(project, key, known := _costed(work, known))
        return known
    if budget_s is None:
        decided = _costed(work, plans)
    else:
        ends = began + budget_s
        decided = _costed(work, plans, ends, (time.perf_counter() - began) / 2)
        smallest = min(work.limits.batch_size, len(work.target.train))
        decided = within(decided, ends - time.perf_counter(), smallest)
        _require_training(work.settings, decided)
    decisions.keep(project, key, decided)
    return decided


def _require_training(settings: FinetuneParams, plans: "Sequence[StepPlan]") -> None:
    """Refuse a budget that leaves nothing of a strategy which has no probe to fall back on."""
    from transfer.finetuning.strategies import is_from_scratch

    if is_from_scratch(settings.strategy) and not any(plan.n_images for plan in plans):
        raise UserError(
            f"finetune.budget_s is {settings.budget_s:g}, too short for a single update from scratch on this machine; "
            "raise it, or choose a strategy that begins with a probe, such as features."
        )


def _costed(
    work: Work, plans: "Sequence[StepPlan]", ends: float = math.inf, measuring_s: float = 0.0
) -> "tuple[StepPlan, ...]":
    """Return the plans with what each step was measured to cost here.

    Args:
        work: what is trained.
        plans: of its steps.
        ends: when the budget does, on the clock of `time.perf_counter`: a step that cannot be measured by then gets no
            image.
        measuring_s: what measuring the first step may take; each later one takes up to twice as long as the one before.
    """
    costed = []
    for plan in plans:
        began = time.perf_counter()
        if ends - began < measuring_s:
            costed.append(replace(plan.shortened(0, 0), batch_size=plan.batch_size or work.limits.batch_size))
            continue
        costed.append(_measured(work, plan))
        if plan.n_images:
            measuring_s = 2 * (time.perf_counter() - began)
    return tuple(costed)


def _measured(work: Work, plan: "StepPlan") -> "StepPlan":
    """Return a plan with what its step costs, in batches that fit where they are still sought.

    What process 0 took alone is counted as if each took its share of it.
    """
    from transfer.finetuning.costs import measured
    from transfer.finetuning.staged import Hooks, posed

    classifier, target, limits, group = work.classifier, work.target, work.limits, work.group
    device, local_size = group.engine.device, group.place.local_size
    twice = replace(plan, cache=replace(plan.cache, n_views=min(2, plan.cache.n_views)))  # as it is, and varied

    def pose(rows: "Target", keep: "Keep") -> "Problem":
        lent = Hooks(keep=keep, execute=work.execute, engine=group.alone())
        return posed(classifier, rows, twice, limits, work.settings.seed, lent)

    def cost_of(batch_size: int) -> "StepCost":
        tried = replace(limits, batch_size=batch_size)
        free_bytes = free_device_bytes(device, local_size)
        return group.shared_cost(measured(classifier, target, plan, pose, tried, free_bytes, time.perf_counter))

    batch_size = plan.batch_size or limits.batch_size
    if not plan.n_images:
        return replace(plan, cost=None, batch_size=batch_size)
    found, sought = cost_of(batch_size), plan.batch_size is None
    fitting = fitting_batch_size(work.settings, batch_size, found.at_once) if sought else batch_size
    found, batch_size = (cost_of(fitting), fitting) if fitting < batch_size else (found, batch_size)
    return replace(plan, cost=found, batch_size=batch_size)
