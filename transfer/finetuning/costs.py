"""What a step costs on this machine, proven by real updates on a batch before training: seconds and memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from transfer.backbones.backbone import Classifier
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.freezing import thaw
from transfer.finetuning.loop import train
from transfer.finetuning.planning import StepCost, StepPlan
from transfer.finetuning.problem import Problem
from transfer.finetuning.states import trained_state
from transfer.records import Rescue

_FEWEST = 2  # batch norm cannot train on one
_MARGIN = 0.8  # of the free memory
_COPIES = 18  # of the trained weights, at most: gradient, moments, moving sums, best, two snapshots, what is written
_UPDATES = 2  # the first one warms up

Pose = Callable[[Target], Problem]


def measured(
    classifier: Classifier,
    target: Target,
    plan: StepPlan,
    pose: Pose,
    budget: Budget,
    free_bytes: int,
    now: Callable[[], float],
) -> StepCost:
    """Make updates of a whole batch, in parts where memory asks for it; the classifier is put back to the byte.

    Args:
        classifier: left frozen and in evaluation mode.
        target: the first rows of it are used.
        plan: of the step.
        pose: returns the problem that the step solves on some rows; called with the classifier thawed.
        budget: of the step.
        free_bytes: memory that may be taken.
        now: a clock, seconds.
    """
    thaw(classifier, plan.step.rates, adapts_norms=plan.step.adapts_norms)
    live = trained_state(classifier)
    origin = {name: value.detach().clone() for name, value in live.items()}
    few, batch = _first(target, _FEWEST), _first(target, min(budget.batch_size, len(target.train)))
    try:
        held = _held_bytes(classifier, pose, few, plan, budget)
        weights = _COPIES * sum(value.numel() * value.element_size() for value in live.values())
        weights += 2 * plan.cache.n_bytes  # kept values, once more while they are gathered
        at_once = len(batch.train)
        while at_once > _FEWEST and weights + held * at_once > _MARGIN * free_bytes:
            at_once = max(_FEWEST, (at_once + 1) // 2)
        problem, prepare_s, prefix_s = _prefix_timed(classifier, pose, (few, batch), plan, now)
        at_once, update_s, val_s = _timed(classifier, problem, plan, replace(budget, at_once=at_once), now)
    finally:
        with torch.no_grad():
            for name, value in live.items():
                value.copy_(origin[name])
        thaw(classifier, ())
    return StepCost(at_once, prepare_s, prefix_s, update_s, val_s, weights + held * at_once)


def _prefix_timed(
    classifier: Classifier, pose: Pose, targets: tuple[Target, Target], plan: StepPlan, now: Callable[[], float]
) -> tuple[Problem, float, float]:
    """Pose the problem on few rows and on more; return the latter, the seconds to begin, and those of an image."""
    seconds, sizes, problems = [], [], []
    for target in targets:
        began = now()
        problems.append(_posed(classifier, pose, target, plan))
        seconds.append(now() - began)
        sizes.append(len(target.train) + len(target.val))
    if not plan.cache.n_views:
        return problems[1], 0.0, 0.0
    image_s = max(0.0, (seconds[1] - seconds[0]) / max(1, sizes[1] - sizes[0]))
    return problems[1], max(0.0, seconds[0] - image_s * sizes[0]), image_s


def _timed(
    classifier: Classifier, problem: Problem, plan: StepPlan, budget: Budget, now: Callable[[], float]
) -> tuple[int, float, float]:
    """Return how many images went through at once in the end, the seconds of one in an update, and in validation."""
    n_images, n_val = len(problem.train.labels), len(problem.val.labels)
    trial = replace(budget, max_images=_UPDATES * n_images, epochs=_UPDATES, batch_size=n_images, patience=None)
    updated: list[float] = []
    events = train(classifier, problem, plan.step, trial, 0, advance=lambda _: updated.append(now()))
    yielded: list[float] = []
    at_once = budget.at_once or n_images
    for event in events:
        yielded.append(now())
        at_once = event.at_once or at_once if isinstance(event, Rescue) else at_once
    return at_once, (updated[-1] - yielded[-2]) / n_images, (yielded[-1] - updated[-1]) / n_val


def _held_bytes(classifier: Classifier, pose: Pose, few: Target, plan: StepPlan, budget: Budget) -> int:
    """Return the bytes that autograd holds for an image between the forward and the backward pass."""
    problem = _posed(classifier, pose, few, plan)
    own = {value.untyped_storage().data_ptr() for value in classifier.state_dict().values()}
    with _counting(own) as held:
        trial = replace(budget, max_images=len(few.train), epochs=1, batch_size=len(few.train), patience=None)
        list(train(classifier, problem, plan.step, trial, 0))
    return sum(held.values()) // len(few.train)


def _posed(classifier: Classifier, pose: Pose, target: Target, plan: StepPlan) -> Problem:
    thaw(classifier, plan.step.rates, adapts_norms=plan.step.adapts_norms)
    return pose(target)


@contextmanager
def _counting(own: set[int]) -> Iterator[dict[int, int]]:
    """Yield what autograd holds while it is active beside the network's own values: address -> bytes."""
    held: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        yield held


def _first(target: Target, n_rows: int) -> Target:
    train_set, val_set = (
        Examples(one.inputs[:n_rows], one.labels[:n_rows], one.keys[:n_rows]) for one in (target.train, target.val)
    )
    return Target(train_set, val_set, target.n_classes)
