"""Run a plan step by step; a step that does not lower the mean validation NLL beyond noise is rolled back, exactly."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.boundary import cut
from transfer.backbones.features import extract_features
from transfer.data.batches import normalise
from transfer.data.examples import Examples, Target
from transfer.finetuning.averaging import BLENDS, blended
from transfer.finetuning.budget import Budget
from transfer.finetuning.caching import Execute, Keep, forget, is_harmless, views_of
from transfer.finetuning.freezing import HEAD, thaw
from transfer.finetuning.gate import change
from transfer.finetuning.inputs import Pixels
from transfer.finetuning.loop import train
from transfer.finetuning.measuring import row_losses
from transfer.finetuning.norms import reestimate, statistics_of
from transfer.finetuning.plan import NORMS, PROBE
from transfer.finetuning.planning import StepPlan
from transfer.finetuning.probe import fit_probe
from transfer.finetuning.problem import Problem
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.states import State, clone_state, trained_state
from transfer.records import EpochRecord, Rescue, StepOutcome

_HARMLESS_ROWS = 32

Advance = Callable[[int], None]
Features = Callable[[Backbone, Examples], Tensor]
Event = EpochRecord | Rescue | StepOutcome


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where fine-tuning stands: enough to go on to the very weights it would have reached.

    Args:
        step_index: of the plan's steps, the one at work.
        events: all there were so far, the probe's included.
        weights: the classifier's before that step, by name.
        snapshot: within the step; None at its beginning.
    """

    step_index: int
    events: tuple[Event, ...]
    weights: Mapping[str, Tensor]
    snapshot: Snapshot | None = None


@dataclass(frozen=True)
class Hooks:
    """What the caller of a long run lends it.

    Args:
        keep: where values at a freeze boundary are kept.
        execute: how frozen prefixes run; straight through PyTorch when None.
        save: called with a checkpoint every few updates and between steps.
        advance: called with the number of images that went through the network.
    """

    keep: Keep = forget
    execute: Execute | None = None
    save: Callable[[Checkpoint], None] = field(default=lambda _: None)
    advance: Advance = field(default=lambda _: None)


def probed(
    backbone: Backbone, target: Target, features: Features | None = None
) -> tuple[Classifier, tuple[EpochRecord, StepOutcome]]:
    """Put a probe on a frozen backbone.

    Args:
        backbone: left as it is, byte for byte.
        target: rows the probe is fitted on, each seen once by the trunk, and rows it is measured on.
        features: how rows become features, float32 (N, feature_dim); straight through the backbone when None.

    Returns:
        The classifier; its record and its outcome.
    """
    extract, train_set = features or _straight, target.train
    classifier = Classifier(backbone, target.n_classes)
    classifier.eval()
    rows = extract(backbone, train_set)
    weight, bias = fit_probe(rows, train_set.labels, target.n_classes)
    with torch.no_grad():
        classifier.head.weight.copy_(weight)
        classifier.head.bias.copy_(bias)
    fitted, _ = _measured(classifier.head, rows, train_set.labels)
    losses, accuracy = _measured(classifier.head, extract(backbone, target.val), target.val.labels)
    nll = float(losses.mean())
    record = EpochRecord(PROBE, 1, len(train_set), float(fitted.mean()), nll, accuracy)
    return classifier, (record, StepOutcome(PROBE, (HEAD,), None, nll, accuracy, len(train_set), kept=True))


def with_own_norms(
    classifier: Classifier, target: Target, features: Features | None = None
) -> tuple[Classifier, tuple[StepOutcome, ...]]:
    """Try the target's own norm statistics in place of the source's: kept where validation gains beyond noise.

    Args:
        classifier: probed; its trunk is changed in place where the statistics are kept, else left byte-equal.
        target: rows the statistics are of, and rows that decide.
        features: as for `probed`.

    Returns:
        The classifier that is better on validation, and the outcome; no outcome for a trunk without statistics.
    """
    backbone, extract = classifier.backbone, features or _straight
    if not statistics_of(backbone) or len(target.train) < 2:
        return classifier, ()
    before, _ = _measured(classifier.head, extract(backbone, target.val), target.val.labels)
    state = clone_state(classifier)
    reestimate(backbone, target.train.inputs)
    other, _ = probed(backbone, target, features)
    after, accuracy = _measured(other.head, extract(backbone, target.val), target.val.labels)
    changed = change(before, after)
    if not changed.helped:
        classifier.load_state_dict(state)
    n_images = 2 * len(target.train)  # once for the statistics, once for the features under them
    outcome = StepOutcome(
        NORMS, (), changed.before, changed.after, accuracy, n_images, kept=changed.helped, val_nll_noise=changed.noise
    )
    return (other if changed.helped else classifier), (outcome,)


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
        classifier: changed in place; after a step that was not kept it is byte-equal to before.
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
        before = clone_state(classifier)

        def keep(found: Snapshot, index: int = index, before: State = before) -> None:
            lent.save(Checkpoint(index, tuple(events), before, found))

        for event in _run_step(classifier, target, plans[index], budget, seed, snapshot, keep, lent):
            events.append(event)
            yield event
        lent.save(Checkpoint(index + 1, tuple(events), clone_state(classifier)))


def _run_step(
    classifier: Classifier,
    target: Target,
    plan: StepPlan,
    budget: Budget,
    seed: int,
    snapshot: Snapshot | None,
    keep: Callable[[Snapshot], None],
    lent: Hooks,
) -> Iterator[Event]:
    step = plan.step
    thaw(classifier, step.rates, adapts_norms=step.adapts_norms)
    limits = replace(budget, max_images=plan.n_images, at_once=plan.cost.at_once if plan.cost else None)
    problem = posed(classifier, target, plan, limits, seed, lent)
    losses, _ = row_losses(problem.network, problem.val)
    origin = {name: value.detach().clone() for name, value in trained_state(classifier).items()}
    seen = 0
    for event in train(classifier, problem, step, limits, seed, snapshot, keep, lent.advance):
        seen = event.images_seen if isinstance(event, EpochRecord) else seen
        yield event
    live = {name: value for name, value in classifier.state_dict(keep_vars=True).items() if name in origin}
    blend, after, right = _best_blend(problem, origin, live)
    changed = change(losses, after)
    if not changed.helped:
        _assign(live, origin)
    yield StepOutcome(
        step.name,
        tuple(step.rates),
        changed.before,
        changed.after,
        float(right.double().mean()),
        seen,
        kept=changed.helped,
        val_nll_noise=changed.noise,
        blend=blend,
    )


def posed(classifier: Classifier, target: Target, plan: StepPlan, budget: Budget, seed: int, lent: Hooks) -> Problem:
    """Return what a thawed classifier learns from: whole images, or what its frozen prefix makes of them."""
    backbone, preprocess = classifier.backbone, classifier.backbone.preprocess
    whole = Problem.of_images(classifier, target, budget.augmentation)
    boundary = cut(backbone) if plan.cache.n_views else None
    if boundary is None:
        return whole
    sample = normalise(target.train.inputs[:_HARMLESS_ROWS], preprocess)
    dtype = torch.float16 if is_harmless(boundary, classifier.head, sample, torch.float16) else torch.float32
    train_views, val_views = (
        views_of(boundary, Pixels(one, preprocess, budget.augmentation), n_views, seed, dtype, lent.execute, lent.keep)
        for one, n_views in ((target.train, plan.cache.n_views), (target.val, 1))
    )
    return Problem(nn.Sequential(boundary.suffix, classifier.head), train_views, val_views)


def _best_blend(problem: Problem, origin: State, live: State) -> tuple[float, Tensor, Tensor]:
    """Leave the blend of the weights before and after that validation prefers.

    Returns:
        Its share, and what `row_losses` measured under it.
    """
    end = {name: value.detach().clone() for name, value in live.items()}
    best: tuple[float, Tensor, Tensor] | None = None
    for share in reversed(BLENDS):
        _assign(live, blended(origin, end, share))
        losses, right = row_losses(problem.network, problem.val)
        if best is None or float(losses.mean()) < float(best[1].mean()):
            best = (share, losses, right)
    if best is None:
        raise RuntimeError("There are no blends.")
    _assign(live, blended(origin, end, best[0]))
    return best


def _assign(live: State, values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in live.items():
            value.copy_(values[name])


def _straight(backbone: Backbone, examples: Examples) -> Tensor:
    return extract_features(backbone, examples.inputs)


def _measured(head: nn.Module, rows: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """Return the losses of all rows, nats, and the accuracy."""
    with torch.no_grad():
        logits = head(rows)
    losses = nn.functional.cross_entropy(logits.double(), labels, reduction="none")
    return losses, float((logits.argmax(1) == labels).double().mean())
