"""Adapt a backbone to a project's data: rows, features, plan, training, from the last checkpoint on."""

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.manifest_file import Manifest, read_manifest
from tasks import decisions
from tasks.automatic import first_batch_size
from tasks.checkpoints import Checkpoints
from tasks.costing import Work, decided
from tasks.examples import chosen_rows, prepared
from tasks.features import PreparedOnce
from tasks.history import Event
from tasks.imbalance import balanced
from tasks.params import Params
from tasks.params_blocks import FinetuneParams
from tasks.plan_table import outcome_sentence, rescue_sentence, search_sentence, show_plan
from tasks.probing import probed_on
from tasks.progress import progress
from tasks.strategy import strategy_steps
from tasks.training_group import TrainingGroup
from transfer.errors import UserError
from transfer.records import Preprocess, RateSearch, Rescue, Row, StepOutcome

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone, Classifier
    from transfer.data.examples import Target
    from transfer.finetuning.budget import Budget
    from transfer.finetuning.planning import StepPlan
    from transfer.finetuning.staged import Checkpoint

MOST_KEPT_BYTES = 2_000_000_000  # of values at a freeze boundary, held in memory while a step learns from them
_FEW_PER_CLASS = 20  # below, regularisers toward the source help: Li et al. 2018, arXiv:1802.01483, section 4
_ANCHOR = 0.01


def training_target(data_path: str, manifest: Manifest, preprocess: Preprocess, max_rows: int) -> "Target":
    """Return training and validation rows, prepared: of either at most `max_rows`, each class by its share.

    Args:
        data_path: the data set's folder.
        manifest: whose rows.
        preprocess: of the backbone that will read them.
        max_rows: `finetune.max_images_seen`.

    Raises:
        UserError: there are no rows to validate on, so no step could be judged, or fewer may be read than there are
            classes.
    """
    from transfer.data.examples import Target

    n_classes = len(manifest.classes)
    train_rows, val_rows = chosen_splits(manifest, max_rows)
    if not val_rows:
        raise UserError(f"{data_path} has no validation images; raise manifest.val_fraction or add a val/ folder.")
    if max_rows < n_classes:
        raise UserError(
            f"finetune.max_images_seen is {max_rows}, but {data_path} has {n_classes} classes and each needs a training"
            f" image; make it at least {n_classes}."
        )
    train_set = prepared(data_path, train_rows, preprocess, "decoding training images")
    val_set = prepared(data_path, val_rows, preprocess, "decoding validation images")
    return Target(train_set, val_set, n_classes)


def chosen_splits(manifest: Manifest, max_rows: int) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Return the training and the validation rows that `training_target` prepares."""
    train_rows, val_rows = map(manifest.of_split, ("train", "val"))
    return chosen_rows(train_rows, max_rows), chosen_rows(val_rows, max_rows)


def budget(settings: FinetuneParams, batch_size: int, images_per_class: float = math.inf) -> "Budget":
    """Return the limits that each step has.

    Args:
        settings: the stage's parameters.
        batch_size: images of an update.
        images_per_class: training images; with few of them weights are held near the pretrained ones they began with.
            Infinite where there are none to be held near.
    """
    from transfer.data.batches import Augmentation
    from transfer.finetuning.budget import Budget

    return Budget(
        max_images=settings.max_images_seen,
        epochs=settings.epochs,
        batch_size=batch_size,
        weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing,
        augmentation=Augmentation(trivial=settings.trivial_augment),
        anchor=_anchor(settings, images_per_class),
        bss=settings.bss if math.isfinite(images_per_class) else 0.0,
    )


def _anchor(settings: FinetuneParams, images_per_class: float) -> float:
    if settings.l2_sp == "auto":
        return _ANCHOR if images_per_class < _FEW_PER_CLASS else 0.0
    return settings.l2_sp if math.isfinite(images_per_class) else 0.0


def adapted(
    backbone: "Backbone",
    target: "Target",
    params: Params,
    checkpoints: Checkpoints,
    weights_sha256: str | None,
    group: TrainingGroup,
    trial_rows: int | None = None,
) -> "tuple[Classifier, tuple[StepPlan, ...], list[Event]]":
    """Return the fine-tuned classifier and all that happened, from the last checkpoint on where there is one.

    Args:
        backbone: what the strategy begins with; changed in place.
        target: what `training_target` returned.
        params: of the project.
        checkpoints: of this run.
        weights_sha256: of the backbone's file; None where its weights are random.
        group: the processes that train together: the first one measures, decides and writes, the others are told.
        trial_rows: of a trial, the most rows of `target`; its head is not fitted to validation rows, which judge it.

    Raises:
        UserError: the strategy does not suit the backbone, training diverges, or one image does not fit into memory.
    """
    from transfer.finetuning.caching import MOST_VIEWS
    from transfer.finetuning.planning import plan_steps

    settings, began = params.finetune, time.perf_counter()
    own = (backbone, target, params, checkpoints, weights_sha256, trial_rows)
    start = group.told_start(_begun(*own) if group.leads else None)
    classifier, target = group.placed_classifier(backbone, target, start), balanced(target, start.events)
    n_train, n_val, limits = len(target.train), len(target.val), _limits(settings, target, backbone)
    steps = strategy_steps(backbone, settings, start.events)
    plans = plan_steps(classifier, steps, n_train, n_val, limits, MOST_KEPT_BYTES)
    execute = PreparedOnce(backbone, MOST_VIEWS * n_train + n_val)
    work = Work(classifier, target, limits, settings, checkpoints, execute, group)
    with group.shared_cores():
        plans = group.told_plans(plans, decided(work, plans, began) if group.leads else None)
        show_plan(plans)
        events = _run(work, plans, start)
    return classifier, _with_rates(plans, events), events


def _run(work: Work, plans: "tuple[StepPlan, ...]", start: "Checkpoint") -> list[Event]:
    """Run the steps; return all that happened, before them too."""
    from transfer.finetuning.staged import run_steps

    checkpoints, group, seed = work.checkpoints, work.group, work.settings.seed
    events, since = [*start.events], time.perf_counter()
    with progress("fine-tuning", total=sum(plan.n_images + plan.n_searched for plan in plans)) as bar:
        hooks = group.hooks(work.classifier.backbone, checkpoints, work.execute, bar.advance)
        for event in run_steps(work.classifier, work.target, plans, work.limits, seed, start, hooks):
            events.append(event)
            since = _tell(event, plans, since, checkpoints.recalled)
            if group.leads and isinstance(event, RateSearch):
                decisions.keep(Path.cwd(), checkpoints.key, _with_rates(plans, events))
    group.engine.taken_back(work.classifier)
    return _settled(events, plans)


def _settled(events: Sequence[Event], plans: "Sequence[StepPlan]") -> list[Event]:
    """Return what happened; the head that was fitted to all rows is kept only where no later step was."""
    from transfer.finetuning.plan import REFIT

    names = {plan.step.name for plan in plans}
    replaced = any(isinstance(event, StepOutcome) and event.name in names and event.kept for event in events)
    return [
        replace(event, kept=False) if replaced and isinstance(event, StepOutcome) and event.name == REFIT else event
        for event in events
    ]


def _limits(settings: FinetuneParams, target: "Target", backbone: "Backbone") -> "Budget":
    """Return the limits of each step; nothing is held near weights that are random."""
    from transfer.backbones.reference import BackboneReference

    n_train, is_random = len(target.train), BackboneReference.parse(backbone.reference).is_random
    images_per_class = math.inf if is_random else n_train / target.n_classes
    return budget(settings, first_batch_size(settings, n_train), images_per_class)


def _with_rates(plans: "Sequence[StepPlan]", events: Sequence[Event]) -> "tuple[StepPlan, ...]":
    """Return the plans with the rates that were found so far."""
    from transfer.finetuning.rates import search_of

    return tuple(replace(plan, found=search_of(plan.step, events) or plan.found) for plan in plans)


def _begun(
    backbone: "Backbone",
    target: "Target",
    params: Params,
    checkpoints: Checkpoints,
    weights_sha256: str | None,
    trial_rows: int | None,
) -> "Checkpoint":
    """Return where the classifier stands: before the first step, or where an earlier run was stopped."""
    from transfer.finetuning.staged import Checkpoint
    from transfer.finetuning.states import clone_state

    start = checkpoints.load()
    if start is not None:
        print(f"Going on where an earlier run of the same inputs was stopped, in step {start.step_index + 1}.")
        return start
    rows = chosen_splits(read_manifest(), trial_rows or params.finetune.max_images_seen)
    classifier, first, spare = probed_on(rows, backbone, target, params, checkpoints, weights_sha256)
    start = Checkpoint(0, first, clone_state(classifier), spare=spare if trial_rows is None else {})
    checkpoints.save_now(start)
    return start


def _tell(event: Event, plans: "Sequence[StepPlan]", since: float, recalled: Collection[str]) -> float:
    """Print what a rescue or the end of a step means; return when the step at work began, seconds."""
    if isinstance(event, Rescue):
        print(rescue_sentence(event))
    if isinstance(event, RateSearch):
        print(search_sentence(event))
    if not isinstance(event, StepOutcome):
        return since
    now = time.perf_counter()
    print(outcome_sentence(event, plans, None if event.name in recalled else now - since))
    return now
