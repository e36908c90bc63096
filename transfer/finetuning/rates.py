"""Find how fast a step should learn, by short runs that begin with the same weights and see the same batches.

Source: successive halving, Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
optimization", arXiv:1502.07943, algorithm 1.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch

from transfer.backbones.backbone import Classifier
from transfer.errors import UserError
from transfer.finetuning.budget import Budget
from transfer.finetuning.loop import MEMORY, train
from transfer.finetuning.plan import Step
from transfer.finetuning.problem import Problem
from transfer.finetuning.states import State, trained_state
from transfer.records import EpochRecord, RateSearch, Rescue

SCALES = (0.1, 1 / 3, 1.0, 3.0, 10.0)
SHARE = 0.5  # of the images of a step, over all trials
_KEPT = 2  # of the scales after the first rung
_FEWEST_IMAGES = 8  # of a trial


def sought(
    classifier: Classifier,
    problem: Problem,
    step: Step,
    budget: Budget,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> RateSearch | None:
    """Return what `searched` finds for a thawed classifier; None where no rate is sought or the step is too short."""
    if not step.searched or not searched_images(budget.n_images(len(problem.train.labels))):
        return None
    return searched(classifier, trained_state(classifier), problem, step, budget, seed, advance)


def searched(
    classifier: Classifier,
    live: State,
    problem: Problem,
    step: Step,
    budget: Budget,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> RateSearch:
    """Find what the rates of `step.searched` are best multiplied by; the classifier is put back to the byte.

    Two rungs: every scale in a short run, then the best two in longer ones; each rung takes half of the images that
    the search has. Of equal losses the smaller rate is taken, and the smallest where every run explodes.

    Args:
        classifier: see `trial_nll`, as for all others.
        live: of it, what the step changes.
        problem: what the step learns.
        step: with the base rates.
        budget: of the step, long enough for trials, see `searched_images`.
        seed: of the step.
        advance: called with the number of images of every batch.
    """
    n_images = budget.n_images(len(problem.train.labels))
    tried: tuple[float, ...] = SCALES
    trials: list[tuple[float, int, float]] = []
    for n_seen, n_kept in zip(trial_images(n_images), (_KEPT, 1), strict=True):
        found = [
            (trial_nll(classifier, live, problem, one, budget, n_seen, seed, advance), scale)
            for scale, one in ((scale, scaled(step, step.searched, scale)) for scale in tried)
        ]
        trials += [(scale, n_seen, nll) for nll, scale in found]
        tried = tuple(sorted(scale for _, scale in sorted(found)[:n_kept]))
    scales, seen, nlls = zip(*trials, strict=True)
    finite = tuple(nll if math.isfinite(nll) else None for nll in nlls)
    return RateSearch(step.name, step.searched, tried[0], scales, seen, finite)


def trial_images(n_images: int) -> tuple[int, int]:
    """Return the training images of a trial on the first and on the second rung, for a step of so many.

    0 where a trial would be too short to tell anything.
    """
    first, second = (int(SHARE * n_images / 2 / n_trials) for n_trials in (len(SCALES), _KEPT))
    return (first, second) if first >= _FEWEST_IMAGES else (0, 0)


def searched_images(n_images: int) -> int:
    """Return the training images of all trials for a step of so many; 0 where it is too short for a search."""
    first, second = trial_images(n_images)
    return len(SCALES) * first + _KEPT * second


def searched_passes(n_images: int, n_train: int) -> int:
    """Return how often trials are judged on validation: after every pass, or what they see of one."""
    first, second = (math.ceil(seen / n_train) for seen in trial_images(n_images))
    return len(SCALES) * first + _KEPT * second


def search_of(step: Step, events: Iterable[object]) -> RateSearch | None:
    """Return the search of a step among what happened; None where there was none."""
    searches = (event for event in events if isinstance(event, RateSearch) and event.step_name == step.name)
    return next(searches, None)


def trial_nll(
    classifier: Classifier,
    live: State,
    problem: Problem,
    step: Step,
    budget: Budget,
    n_images: int,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> float:
    """Return the validation NLL that a short run of a step reaches, nats; infinite where it explodes.

    The run is the step in small, its warm-up and its cosine included. The classifier is put back to the byte.

    Args:
        classifier: with the weights that the step would begin with; nothing in it is trainable at the end.
        live: of it, what the step changes, see `transfer.finetuning.states.trained_state`.
        problem: what the step learns.
        step: with the rates to be tried.
        budget: of the step.
        n_images: training images that the run sees.
        seed: of the step.
        advance: called with the number of images of every batch.
    """
    origin = {name: value.detach().clone() for name, value in live.items()}
    trial = replace(budget, max_images=n_images, epochs=max(1, math.ceil(n_images / len(problem.train.labels))))
    nll = math.inf
    try:
        for event in train(classifier, problem, step, replace(trial, patience=None), seed, advance=advance):
            if isinstance(event, Rescue) and event.what != MEMORY:
                return math.inf
            nll = min(nll, event.val_nll) if isinstance(event, EpochRecord) else nll
    except UserError:  # features under these weights are not finite
        return math.inf
    finally:
        with torch.no_grad():
            for name, value in live.items():
                value.copy_(origin[name])
    return nll


def scaled(step: Step, groups: Sequence[str], scale: float) -> Step:
    """Return a step in which some groups learn so many times faster."""
    rates = {name: rate * scale if name in groups else rate for name, rate in step.rates.items()}
    return replace(step, rates=rates)
