"""What a step costs on this machine, proven by real updates on a batch before training: seconds and memory."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from transfer.backbones.backbone import Classifier
from transfer.backbones.held import counting_held
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.caching import Compute, Keep, forget
from transfer.finetuning.freezing import thaw
from transfer.finetuning.loop import train
from transfer.finetuning.plan import Step
from transfer.finetuning.planning import StepCost, StepPlan
from transfer.finetuning.problem import Problem
from transfer.finetuning.states import trained_state
from transfer.records import Rescue

_FEWEST = 2  # batch norm cannot train on one
_MARGIN = 0.8  # of the free memory
COPIES = 18  # of the trained weights, at most: gradient, moments, moving sums, best, two snapshots, what is written
_UPDATES_A_PASS = 2  # the first one warms up, and keeps where it began as only every few do: it does not count
_MOST_PASSES = 8
_ENOUGH_S = 0.5  # of updates: more of them tell no more

Pose = Callable[[Target, Keep], Problem]


def measured(
    classifier: Classifier,
    target: Target,
    plan: StepPlan,
    pose: Pose,
    budget: Budget,
    free_bytes: int,
    now: Callable[[], float],
) -> StepCost:
    """Make updates of whole batches, in parts where memory asks for it; the classifier is put back to the byte.

    Args:
        classifier: left frozen and in evaluation mode.
        target: the first rows of it are used.
        plan: of the step.
        pose: returns the problem that the step solves on some rows, kept values asked of the keep that it is given;
            called with the classifier thawed, and first on few rows, when it may find out how to run a prefix.
        budget: of the step.
        free_bytes: memory that may be taken.
        now: a clock, seconds.
    """
    thaw(classifier, plan.step.rates, adapts_norms=plan.step.adapts_norms, trains=plan.step.trains)
    live = trained_state(classifier)
    origin = {name: value.detach().clone() for name, value in live.items()}
    few, batch = _first(target, _FEWEST), _first(target, _UPDATES_A_PASS * budget.batch_size)
    try:
        small = pose(few, forget)
        problem, prepare_s, prefix_s, varied_s = _prefix_timed(pose, batch, now)
        held = _held_bytes(classifier, small, plan, budget)
        weights = COPIES * sum(value.numel() * value.element_size() for value in live.values())
        weights += 2 * plan.cache.n_bytes  # kept values, once more while they are gathered
        at_once = _fitting(min(budget.batch_size, len(batch.train)), held, _MARGIN * free_bytes - weights)
        at_once, update_s, val_s = _timed(classifier, problem, plan, replace(budget, at_once=at_once), now)
    finally:
        with torch.no_grad():
            for name, value in live.items():
                value.copy_(origin[name])
        thaw(classifier, ())
    seconds = (prepare_s, prefix_s, varied_s) if plan.cache.n_views else (0.0, 0.0, 0.0)
    return StepCost(at_once, *seconds, update_s, val_s, weights + held * at_once)


def _fitting(n_images: int, held: int, room: float) -> int:
    """Return into parts of how many images a batch is halved until one of them fits."""
    while n_images > _FEWEST and held * n_images > room:
        n_images = max(_FEWEST, (n_images + 1) // 2)
    return n_images


def _prefix_timed(pose: Pose, batch: Target, now: Callable[[], float]) -> tuple[Problem, float, float, float]:
    """Pose the problem; return it, the seconds to begin, those of an image through the prefix, and of a varied one."""
    seconds, n_images = {False: 0.0, True: 0.0}, {False: 0, True: 0}

    def keep(what: Mapping[str, Any], keys: Sequence[str], compute: Compute) -> Tensor:
        is_varied, began = bool(what["view"]), now()
        values = forget(what, keys, compute)
        seconds[is_varied] += now() - began
        n_images[is_varied] += len(keys)
        return values

    began = now()
    problem = pose(batch, keep)
    prepare_s = now() - began - sum(seconds.values())
    plain_s, varied_s = (seconds[is_varied] / max(1, n_images[is_varied]) for is_varied in (False, True))
    return problem, prepare_s, plain_s, varied_s


def _timed(
    classifier: Classifier, problem: Problem, plan: StepPlan, budget: Budget, now: Callable[[], float]
) -> tuple[int, float, float]:
    """Return how many images went through at once in the end, the seconds of one in an update, and in validation.

    The seconds are medians over updates of whole batches and over validations of as many rows.
    """
    n_images, n_val = len(problem.train.labels), len(problem.val.labels)
    trial = replace(budget, max_images=_MOST_PASSES * n_images, epochs=_MOST_PASSES, patience=None)
    ended, updating, judging = list[tuple[float, int]](), list[float](), list[float]()
    at_once, spent = budget.at_once or n_images, 0.0
    for event in train(
        classifier, problem, _still(plan.step), trial, 0, advance=lambda count: ended.append((now(), count))
    ):
        if isinstance(event, Rescue):  # what was measured before is not what will be done
            at_once, updating = event.at_once or at_once, []
        else:
            judging.append(now() - ended[-1][0])
            updating += [(end - began) / count for (began, _), (end, count) in itertools.pairwise(ended)]
        spent += ended[-1][0] - ended[0][0] if ended else 0.0
        if updating and spent > _ENOUGH_S:
            break
        ended[:] = [] if len(ended) > 1 else [(now(), 0)]  # of a single update a pass, what is around it is its own
    return at_once, median(updating), median(judging) / n_val


def _held_bytes(classifier: Classifier, problem: Problem, plan: StepPlan, budget: Budget) -> int:
    """Return the bytes that autograd holds for an image between the forward and the backward pass."""
    n_images = len(problem.train.labels)
    with counting_held(classifier.state_dict().values()) as held:
        trial = replace(budget, max_images=n_images, epochs=1, batch_size=n_images, patience=None)
        list(train(classifier, problem, _still(plan.step), trial, 0))
    return sum(held.values()) // n_images


def _still(step: Step) -> Step:
    """Return a step at rates of 0: it takes as long and holds as much as at any other, and nothing explodes."""
    return replace(step, rates=dict.fromkeys(step.rates, 0.0))


def _first(target: Target, n_rows: int) -> Target:
    train_set, val_set = (
        Examples(one.inputs[:n_rows], one.labels[:n_rows], one.keys[:n_rows]) for one in (target.train, target.val)
    )
    return replace(target, train=train_set, val=val_set)
