"""Run a plan step by step; a step that does not lower the mean validation NLL beyond noise is rolled back, exactly."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Classifier
from transfer.backbones.boundary import cut
from transfer.backbones.digests import digest_of
from transfer.backbones.heads import take_head
from transfer.data.batches import Augmentation, normalise
from transfer.data.examples import Target
from transfer.finetuning.averaging import BLENDS, blended
from transfer.finetuning.budget import Budget
from transfer.finetuning.caching import Execute, Keep, executor_of, forget, is_harmless, views_of
from transfer.finetuning.engine import Engine, pays_to_compile
from transfer.finetuning.freezing import HEAD, thaw
from transfer.finetuning.gate import beside, change, otherwise
from transfer.finetuning.inputs import Pixels, moved
from transfer.finetuning.loop import train
from transfer.finetuning.measuring import Judgement
from transfer.finetuning.plan import REFIT
from transfer.finetuning.planning import StepPlan
from transfer.finetuning.problem import Problem
from transfer.finetuning.rates import scaled, search_of, sought
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.states import State, clone_state, trained_state
from transfer.records import ClassBalance, EpochRecord, RateSearch, Rescue, StepOutcome

_HARMLESS_ROWS = 32

Advance = Callable[[int], None]
Event = ClassBalance | EpochRecord | RateSearch | Rescue | StepOutcome


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where fine-tuning stands: enough to go on to the very weights it would have reached.

    Args:
        step_index: of the plan's steps, the one at work.
        events: all there were so far, the probe's included.
        weights: the classifier's before that step, by name.
        snapshot: within the step; None at its beginning.
        spare: a head by name, left where no step is kept, see `probing.refitted`; that of `weights` if empty.
    """

    step_index: int
    events: tuple[Event, ...]
    weights: Mapping[str, Tensor]
    snapshot: Snapshot | None = None
    spare: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """What a step came to: all that running it again would do.

    Args:
        events: its epochs, rescues and outcome.
        changed: the classifier's values that it changed, by name, as it left them.
    """

    events: tuple[Event, ...]
    changed: Mapping[str, Tensor]


@dataclass(frozen=True)
class Hooks:
    """What the caller of a long run lends it.

    Args:
        keep: where values at a freeze boundary are kept.
        execute: how frozen prefixes run; straight through PyTorch when None.
        save: called with a checkpoint every few updates and between steps.
        advance: called with the number of images that went through the network.
        facts: what kept values depend on beside network and image: decoders, libraries, the machine.
        recall: what a step of this identity came to before; None where it was not run before.
        remember: called with the identity of a step that has ended, and with what it came to.
        engine: where and how updates are computed; the classifier is on its device.
    """

    keep: Keep = forget
    execute: Execute | None = None
    save: Callable[[Checkpoint], None] = field(default=lambda _: None)
    advance: Advance = field(default=lambda _: None)
    facts: Mapping[str, Any] = field(default_factory=dict)
    recall: Callable[[str], Done | None] = field(default=lambda _: None)
    remember: Callable[[str, Done], None] = field(default=lambda *_: None)
    engine: Engine = field(default_factory=Engine)


def run_steps(
    classifier: Classifier,
    target: Target,
    plans: Sequence[StepPlan],
    budget: Budget,
    seed: int,
    start: Checkpoint | None = None,
    hooks: Hooks | None = None,
) -> Iterator[Event]:
    """Run planned steps in order; yield a record an epoch and an outcome a step.

    Args:
        classifier: changed in place; after a step that was not kept it is byte-equal to before. Where none was kept,
            its head becomes the start's spare one at the end.
        target: training and validation rows.
        plans: what to train, see `transfer.finetuning.planning.plan_steps`.
        budget: of each step.
        seed: of order and augmentation.
        start: where to go on; from the first step when None. Its events are not yielded again.
        hooks: what the caller lends.
    """
    lent = hooks or Hooks()
    at = start or Checkpoint(0, (), clone_state(classifier))
    classifier.load_state_dict(at.weights)
    events = list(at.events)
    for index in range(at.step_index, len(plans)):
        snapshot = at.snapshot if index == at.step_index else None
        begun = replace(at, step_index=index, events=tuple(events), weights=clone_state(classifier), snapshot=snapshot)
        for event in _events_of(classifier, target, plans[index], budget, seed, begun, lent):
            events.append(event)
            yield event
        state = clone_state(classifier)
        lent.save(replace(at, step_index=index + 1, events=tuple(events), weights=state, snapshot=None))
    if not any(outcome.kept for outcome in _of_steps(events, plans)):
        take_head(classifier, at.spare)


def _events_of(
    classifier: Classifier, target: Target, plan: StepPlan, budget: Budget, seed: int, begun: Checkpoint, lent: Hooks
) -> Iterator[Event]:
    """Run a step, or do what it came to before; yield its events."""
    if not plan.n_images:
        yield _skipped(plan, begun.events, classifier, target, lent.engine)
        return
    plan = replace(plan, found=search_of(plan.step, begun.events) or plan.found)
    identity = identity_of(classifier, target, plan, budget, seed, otherwise(begun.events, spare=bool(begun.spare)))
    done = lent.recall(identity) if begun.snapshot is None else None
    if done is not None:
        classifier.load_state_dict({**begun.weights, **done.changed})
        lent.advance(plan.n_images + plan.n_searched)
        yield from done.events
        return
    events = list(begun.events)

    def keep(found: Snapshot) -> None:
        lent.save(replace(begun, events=tuple(events), snapshot=found))

    for event in _run_step(classifier, target, plan, budget, seed, begun, keep, lent):
        events.append(event)
        yield event
    lent.remember(identity, _done(plan, events, begun.weights, clone_state(classifier)))


def _run_step(
    classifier: Classifier,
    target: Target,
    plan: StepPlan,
    budget: Budget,
    seed: int,
    begun: Checkpoint,
    keep: Callable[[Snapshot], None],
    lent: Hooks,
) -> Iterator[Event]:
    limits, seen, snapshot = plan.limits(budget), 0, begun.snapshot
    problem, before = _stated(classifier, target, plan, limits, seed, lent)
    origin = {name: value.detach().clone() for name, value in trained_state(classifier).items()}
    found = plan.found or sought(classifier, problem, plan.step, limits, seed, lent.advance)
    if found is not None and snapshot is None:  # a run that goes on within the step has told of it
        yield found
    step = plan.step if found is None else scaled(plan.step, found.groups, found.scale)
    for event in train(classifier, problem, step, limits, seed, snapshot, keep, lent.advance):
        seen = event.images_seen if isinstance(event, EpochRecord) else seen
        yield event
    live = {name: value for name, value in classifier.state_dict(keep_vars=True).items() if name in origin}
    blend, after = _best_blend(problem, origin, live)
    changed = beside(
        change(before.losses, after.losses, after.strata), otherwise(begun.events, spare=bool(begun.spare))
    )
    if not changed.helped:
        _assign(live, origin)
    elif HEAD in step.rates:
        with torch.no_grad():
            for parameter in classifier.head.parameters():
                parameter.mul_(after.sharpness)
    folded = after.sharpness if changed.helped and HEAD in step.rates else None
    yield replace(changed.outcome(step.name, tuple(step.rates), after.accuracy, seen), blend=blend, sharpness=folded)


def identity_of(
    classifier: Classifier, target: Target, plan: StepPlan, budget: Budget, seed: int, to_beat: float | None = None
) -> str:
    """Return what names all that a step's outcome depends on, beside code and machine.

    Args:
        classifier: as the step begins.
        target: rows; their keys tell their content.
        plan: of the step; the seconds it was measured to take count for nothing, and so
            do the rates that would be found again.
        budget: of the step.
        seed: of order and augmentation.
        to_beat: the validation loss that there is where no step is kept, nats; None where one was.
    """
    rows = [(one.keys, one.labels.tolist()) for one in (target.train, target.val)]
    parts = plan.cost.at_once if plan.cost else None
    read = asdict(classifier.backbone.preprocess)
    planned = asdict(replace(plan, cost=None, found=None))
    counted = (target.balance.equally, target.balance.remedy)
    facts = (digest_of(classifier), read, rows, planned, parts, asdict(budget), counted)
    return hashlib.sha256(json.dumps((*facts, seed, to_beat), sort_keys=True).encode()).hexdigest()


def _done(plan: StepPlan, events: Sequence[Event], before: Mapping[str, Tensor], after: State) -> Done:
    name = plan.step.name
    happened = (one for one in events if not isinstance(one, ClassBalance))
    own = (one for one in happened if (one.name if isinstance(one, StepOutcome) else one.step_name) == name)
    return Done(tuple(own), {key: value for key, value in after.items() if not torch.equal(value, before[key])})


def _of_steps(events: Sequence[Event], plans: Sequence[StepPlan]) -> Iterator[StepOutcome]:
    names = {plan.step.name for plan in plans}
    return (event for event in events if isinstance(event, StepOutcome) and event.name in names)


def _stated(
    classifier: Classifier, target: Target, plan: StepPlan, limits: Budget, seed: int, lent: Hooks
) -> tuple[Problem, Judgement]:
    """Thaw a classifier for a step; return what it learns, and how it does before."""
    thaw(classifier, plan.step.rates, adapts_norms=plan.step.adapts_norms, trains=plan.step.trains)
    stated = posed(classifier, target, plan, limits, seed, lent)
    before = stated.judged()
    pays = pays_to_compile(lent.engine, plan.updates_s(), shares_norms=plan.step.adapts_norms)
    compiled = pays and not limits.bss  # which looks into every pass
    return replace(stated, to_beat=before.nll, engine=replace(lent.engine, compiled=compiled)), before


def _skipped(
    plan: StepPlan, events: Sequence[Event], classifier: Classifier, target: Target, engine: Engine
) -> StepOutcome:
    """Return the outcome of a step without an image: what the last kept step left, measured where there was none."""
    kept = [event for event in events if isinstance(event, StepOutcome) and event.kept and event.name != REFIT]
    if kept:
        nll, accuracy = kept[-1].val_nll_after, kept[-1].val_accuracy
    else:
        found = Problem.of_images(classifier, target, Augmentation(), engine).judged()
        nll, accuracy = found.nll, found.accuracy
    return StepOutcome(plan.step.name, tuple(plan.step.rates), nll, nll, accuracy, 0, kept=False)


def posed(classifier: Classifier, target: Target, plan: StepPlan, budget: Budget, seed: int, lent: Hooks) -> Problem:
    """Return what a thawed classifier learns from: whole images, or what its frozen prefix makes of them."""
    backbone, preprocess = classifier.backbone, classifier.backbone.preprocess
    is_whole = all(group.n_trained == group.n_parameters for group in plan.groups)
    augmentation = replace(budget.augmentation, trivial=budget.augmentation.trivial and is_whole)
    boundary = cut(backbone) if plan.cache.n_views else None
    if boundary is None:
        return Problem.of_images(classifier, target, augmentation, lent.engine)
    device = lent.engine.device
    sample = normalise(moved(_spread(target.train.inputs, _HARMLESS_ROWS), device), preprocess)
    harms = not is_harmless(boundary, classifier.head, sample, torch.float16)
    dtype = torch.float32 if lent.engine.ranks.worst(int(harms)) else torch.float16  # the same in all processes
    train_set, val_set = (Pixels(one, preprocess, augmentation, device) for one in (target.train, target.val))
    n_images = plan.cache.n_views * len(target.train) + len(target.val)
    executor = executor_of(boundary, train_set, n_images, lent.execute)
    train_views, val_views = (
        views_of(boundary, one, n_views, seed, dtype, executor, lent.keep, lent.facts)
        for one, n_views in ((train_set, plan.cache.n_views), (val_set, 1))
    )
    network = nn.Sequential(boundary.suffix, classifier.head)
    return Problem(network, train_views, val_views, engine=lent.engine, balance=target.balance)


def _spread(images: Tensor, n_most: int) -> Tensor:
    """Return some of the images, evenly spread: rows lie class by class."""
    return images[torch.linspace(0, len(images) - 1, min(len(images), n_most)).round().long()]


def _best_blend(problem: Problem, origin: State, live: State) -> tuple[float, Judgement]:
    """Leave the blend of the weights before and after that validation prefers; return its share and its judgement."""
    end = {name: value.detach().clone() for name, value in live.items()}
    found: dict[float, Judgement] = {}
    for share in reversed(BLENDS):
        _assign(live, blended(origin, end, share))
        found[share] = problem.judged()
    best = min(found, key=lambda share: found[share].nll if math.isfinite(found[share].nll) else math.inf)
    _assign(live, blended(origin, end, best))
    return best, found[best]


def _assign(live: State, values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in live.items():
            value.copy_(values[name])
