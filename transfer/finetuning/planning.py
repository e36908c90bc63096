"""What will be trained, how, and what is kept instead of computed again: a plan as data, made before training."""

from collections.abc import Sequence
from dataclasses import dataclass

from transfer.backbones.backbone import Classifier
from transfer.backbones.boundary import cut
from transfer.data.batches import Augmentation
from transfer.finetuning.budget import Budget
from transfer.finetuning.caching import CachePlan, plan_cache
from transfer.finetuning.freezing import group_names, parameters_of, thaw
from transfer.finetuning.norms import statistics_of
from transfer.finetuning.plan import Step


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What a step does with a depth group.

    Args:
        name: the group's.
        n_parameters: of the group.
        rate: peak learning rate; None when it is frozen.
        norms: "frozen" or "trained" statistics; "none" where the group keeps none.
    """

    name: str
    n_parameters: int
    rate: float | None
    norms: str


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What a step does.

    Args:
        step: what it trains.
        groups: shallow to deep, the head last.
        n_images: training images it sees, at most.
        n_epochs: passes over the training rows, at most.
        cache: whether it learns from kept values.
    """

    step: Step
    groups: tuple[GroupPlan, ...]
    n_images: int
    n_epochs: float
    cache: CachePlan


def plan_steps(
    classifier: Classifier, steps: Sequence[Step], n_train: int, n_val: int, budget: Budget, max_bytes: int
) -> tuple[StepPlan, ...]:
    """Plan steps for a classifier, which is left frozen and in evaluation mode.

    Args:
        classifier: whose groups the steps name.
        steps: in order.
        n_train: training rows.
        n_val: validation rows.
        budget: of each step.
        max_bytes: what kept values of a step may take.
    """
    varied = budget.augmentation != Augmentation(min_area=1.0, flip_probability=0.0)
    plans = []
    for step in steps:
        thaw(classifier, step.rates, adapts_norms=step.adapts_norms)
        n_images = budget.n_images(n_train)
        n_epochs = n_images / n_train
        boundary = cut(classifier.backbone) if n_epochs else None
        cache = plan_cache(boundary, n_train, n_val, max(n_epochs, 1e-9), max_bytes, varied=varied)
        plans.append(StepPlan(step, _groups(classifier, step), n_images, n_epochs, cache))
    thaw(classifier, ())
    return tuple(plans)


def _groups(classifier: Classifier, step: Step) -> tuple[GroupPlan, ...]:
    keeping = {id(module) for module in statistics_of(classifier.backbone)}
    holders = {group.name: group for group in classifier.backbone.depth_groups}
    plans = []
    for name in group_names(classifier):
        n_parameters = sum(parameter.numel() for parameter in parameters_of(classifier, name))
        modules = classifier.backbone.group_modules(holders[name]) if name in holders else ()
        norms = "none"
        if any(id(module) in keeping for module in modules):
            norms = "trained" if step.adapts_norms and name in step.rates else "frozen"
        plans.append(GroupPlan(name, n_parameters, step.rates.get(name), norms))
    return tuple(plans)
