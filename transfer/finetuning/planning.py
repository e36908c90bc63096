"""What will be trained, how, and what is kept instead of computed again: a plan as data, made before training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transfer.backbones.backbone import Classifier
from transfer.backbones.boundary import cut
from transfer.data.batches import Augmentation
from transfer.finetuning.averaging import BLENDS
from transfer.finetuning.budget import Budget
from transfer.finetuning.caching import CachePlan, plan_cache
from transfer.finetuning.freezing import EVERYTHING, group_names, parameters_of, thaw
from transfer.finetuning.norms import statistics_of
from transfer.finetuning.plan import Step
from transfer.finetuning.rates import SHARE, searched_images, searched_passes
from transfer.records import RateSearch


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What a step does with a depth group.

    Args:
        name: the group's.
        n_parameters: of the group.
        rate: peak learning rate; None when it is frozen.
        norms: "frozen" or "trained" statistics; "none" where the group keeps none.
        n_trained: how many of the parameters change.
    """

    name: str
    n_parameters: int
    rate: float | None
    norms: str
    n_trained: int


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a step costs on a machine.

    Args:
        at_once: images that go through the network at once; a batch of more is made of parts.
        prepare_s: seconds to make the frozen prefix ready to run; 0 without a cache.
        prefix_s: seconds an image takes through it as it is.
        varied_s: seconds an image takes to be varied and go through it.
        update_s: seconds a training image takes in an update.
        val_s: seconds a validation image takes.
        n_bytes: memory that an update takes beside the network: what autograd holds, and the optimiser.
    """

    at_once: int
    prepare_s: float
    prefix_s: float
    varied_s: float
    update_s: float
    val_s: float
    n_bytes: int

    def of_whole_images(self, frozen_share: float) -> "StepCost":
        """Return the cost without the kept values that it was measured with: every pass goes through the prefix too.

        Args:
            frozen_share: the prefix's share of the operations of a forward pass, below 1. It runs in PyTorch like the
                rest: no sooner than in its executor, nor than its operations take beside those of the rest.
        """
        in_torch_s = frozen_share / max(1 - frozen_share, 0.01) * self.val_s
        more_s = max(self.prefix_s, self.varied_s, in_torch_s)
        update_s, val_s = self.update_s + more_s, self.val_s + more_s
        return replace(self, prepare_s=0.0, prefix_s=0.0, varied_s=0.0, update_s=update_s, val_s=val_s)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What a step does.

    Args:
        step: what it trains.
        groups: shallow to deep, the head last.
        n_images: training images it sees, at most.
        n_train: training rows there are.
        n_val: validation rows there are.
        cache: whether it learns from kept values.
        cost: what it costs here; None before it was measured.
        batch_size: images of an update; that of the step's budget when None.
        found: what the search for its rates found; None before it, or where none is sought.
    """

    step: Step
    groups: tuple[GroupPlan, ...]
    n_images: int
    n_train: int
    n_val: int
    cache: CachePlan
    cost: StepCost | None = None
    batch_size: int | None = None
    found: RateSearch | None = None

    @property
    def seeks(self) -> bool:
        """Say whether rates are still to be found before the step, and it is long enough for that."""
        return bool(self.step.searched) and self.found is None and searched_images(self.n_images) > 0

    @property
    def n_searched(self) -> int:
        """Return the training images that the search for rates sees."""
        return searched_images(self.n_images) if self.seeks else 0

    @property
    def n_epochs(self) -> float:
        """Return the passes over the training rows, at most."""
        return self.n_images / self.n_train

    def limits(self, budget: Budget) -> Budget:
        """Return a step's budget with what was planned for this one: its length, its batches, what fits into memory."""
        at_once = self.cost.at_once if self.cost else None
        batch_size = self.batch_size or budget.batch_size
        return replace(budget, max_images=self.n_images, at_once=at_once, batch_size=batch_size)

    def shortened(self, n_images: int, n_views: int) -> "StepPlan":
        """Return the plan with fewer images and views.

        Args:
            n_images: training images, at most those of this plan.
            n_views: kept views, at most those of this plan; 0 where whole images go through the network instead.
        """
        if (n_images, n_views) == (self.n_images, self.cache.n_views):
            return self
        n_epochs, n_passes = n_images / self.n_train, _update_cost(self.step)
        cache = self.cache.shortened(n_views, n_epochs, self.n_train, self.n_val, n_passes)
        cost, drops = self.cost, self.cache.n_views and not n_views
        cost = cost.of_whole_images(self.cache.frozen_share) if cost and drops else cost
        return replace(self, n_images=n_images, cache=cache, cost=cost)

    def fixed_s(self) -> float:
        """Return the seconds before and after the updates, whatever their number; 0 before they were measured."""
        if self.cost is None:
            return 0.0
        judging_s = self.cost.val_s * self.n_val * (1 + len(BLENDS))
        if not self.cache.n_views:
            return judging_s
        plain_s = self.cost.prefix_s * (self.n_train + self.n_val)
        varied_s = self.cost.varied_s * self.n_train * (self.cache.n_views - 1)
        return self.cost.prepare_s + plain_s + varied_s + judging_s

    def image_s(self) -> float:
        """Return the seconds a training image takes, its share of the validation after each epoch included."""
        return 0.0 if self.cost is None else self.cost.update_s + self.cost.val_s * self.n_val / self.n_train

    def updates_s(self) -> float:
        """Return the seconds of the updates alone, when the step is not stopped early; 0 before they were measured."""
        return 0.0 if self.cost is None else self.n_images * self.cost.update_s

    def search_s(self) -> float:
        """Return the seconds of the search for rates; 0 where there is nothing to be found."""
        if self.cost is None or not self.n_searched:
            return 0.0
        judging_s = searched_passes(self.n_images, self.n_train) * self.n_val * self.cost.val_s
        return self.n_searched * self.cost.update_s + judging_s

    def seconds(self) -> float:
        """Return the seconds of the step when it is not stopped early."""
        return self.fixed_s() + self.search_s() + self.n_images * self.image_s() if self.n_images else 0.0


def within(plans: Sequence[StepPlan], seconds: float, fewest: int) -> tuple[StepPlan, ...]:
    """Shorten steps so that together they take no longer than some seconds: the first ones keep the most.

    Args:
        plans: with their costs.
        seconds: for all of them.
        fewest: images below which a step is not worth beginning.
    """
    shortened = []
    for plan in plans:
        fitting = plan
        for n_views in range(plan.cache.n_views, -1, -1) if plan.cache.n_views else (0,):
            fitting = plan.shortened(plan.n_images, n_views)
            n_images = min(plan.n_images, max(0, _affordable(fitting, seconds)))
            fitting = fitting.shortened(n_images if n_images >= min(fewest, plan.n_images) else 0, n_views)
            if n_views <= max(1, int(fitting.n_epochs / 2)) and fitting.n_images:
                break  # each view serves two passes or more
        shortened.append(fitting)
        seconds -= shortened[-1].seconds()
    return tuple(shortened)


def _affordable(plan: StepPlan, seconds: float) -> int:
    """Return how many images a step may see: those of the search for its rates are a share of them."""
    if plan.cost is None or not plan.image_s():
        return plan.n_images
    left, image_s = seconds - plan.fixed_s(), plan.image_s()
    if plan.seeks:
        left -= searched_passes(plan.n_images, plan.n_train) * plan.n_val * plan.cost.val_s
        image_s += SHARE * plan.cost.update_s
    return int(left / image_s)


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
    varied = replace(budget.augmentation, trivial=False) != Augmentation(min_area=1.0, flip_probability=0.0)
    plans = []
    for step in steps:
        thaw(classifier, step.rates, adapts_norms=step.adapts_norms, trains=step.trains)
        n_images = budget.n_images(n_train)
        n_epochs = n_images / n_train
        boundary = cut(classifier.backbone) if n_epochs else None
        cost, passes = _update_cost(step), max(n_epochs, 1e-9)
        cache = plan_cache(boundary, n_train, n_val, passes, max_bytes, varied=varied, cost=cost)
        plans.append(StepPlan(step, _groups(classifier, step), n_images, n_train, n_val, cache))
    thaw(classifier, ())
    return tuple(plans)


def _update_cost(step: Step) -> int:
    """Return how many forward passes an update is worth: no kernel asks for a gradient where a part is trained."""
    return 3 if step.trains == EVERYTHING else 2


def _groups(classifier: Classifier, step: Step) -> tuple[GroupPlan, ...]:
    """Return what a step does with each group of a classifier that was thawed for it."""
    keeping = {id(module) for module in statistics_of(classifier.backbone)}
    holders = {group.name: group for group in classifier.backbone.depth_groups}
    plans = []
    for name in group_names(classifier):
        parameters = parameters_of(classifier, name)
        n_trained = sum(one.numel() for one in parameters if one.requires_grad)
        modules = classifier.backbone.group_modules(holders[name]) if name in holders else ()
        norms = "none"
        if any(id(module) in keeping for module in modules):
            norms = "trained" if step.adapts_norms and name in step.rates else "frozen"
        n_parameters = sum(one.numel() for one in parameters)
        plans.append(GroupPlan(name, n_parameters, step.rates.get(name), norms, n_trained))
    return tuple(plans)
