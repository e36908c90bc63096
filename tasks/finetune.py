"""The stage `finetune`: the winner of `select`, adapted step by step."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.devices import device_facts
from adapters.held_out_file import HeldOut, write_held_out
from adapters.json_files import atomic_write, read_json, sha256_of, write_json, write_plain_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.model_files import WEIGHTS
from tasks.adaptation import adapted, training_target
from tasks.automatic import first_batch_size
from tasks.checkpoints import Checkpoints
from tasks.features import machine_recipe
from tasks.handoffs import FINETUNE_HISTORY, HELD_OUT, LEARNING_CURVE, MODEL, PLAN, RANKING
from tasks.held_out import held_out
from tasks.history import BATCH_SIZE, STRATEGY, TRAINED_ON, Event, history, over_all_images, read_history, read_searches
from tasks.imbalance import balance_in, balance_of, balance_params
from tasks.params import Params, read_params
from tasks.params_blocks import SELECTED, FinetuneParams
from tasks.plan_table import plain_plan
from tasks.step import step
from tasks.strategy import starting_backbone, strategy_steps
from tasks.training_group import TrainingGroup, training_group

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone, Classifier
    from transfer.data.examples import Target
    from transfer.finetuning.planning import StepPlan

HISTORY = FINETUNE_HISTORY
CURVE = LEARNING_CURVE.with_suffix(".csv")
_RANKED_FROM = {"manifest": MANIFEST, "quarantine": QUARANTINE}
_MADE_FROM = {"manifest": MANIFEST, "quarantine": QUARANTINE, "ranking": RANKING}


@step
def train() -> None:
    """Probe, then the steps of the strategy; write the model, its plan and its history.

    A run that was killed goes on where it stood.

    Raises:
        UserError: the rows do not suffice, the winner cannot be built from its weights or does not suit the strategy,
            or training diverges.
    """
    from adapters.model_files import save_model
    from transfer.backbones.card import ModelCard

    params = read_settled()
    with training_group(params.finetune) as group:
        classifier, plans, events, batch_size, checkpoints, unseen = _trained(params, group)
        trained_on = group.facts()
    save_model(MODEL, classifier, ModelCard.of(classifier, read_manifest().classes))
    if unseen is not None:
        write_held_out(HELD_OUT, unseen, {"model": MODEL / WEIGHTS})
    write_plain_json(PLAN, plain_plan(plans, balance_of(events)))
    settled = {STRATEGY: params.finetune.strategy, BATCH_SIZE: batch_size, TRAINED_ON: trained_on}
    write_json(HISTORY, {**history(events), **settled}, _MADE_FROM)
    checkpoints.discard()


def follow() -> None:
    """Take part in the training of a process that writes and reports for all.

    Raises:
        UserError: this process lacks what that one has.
    """
    params = read_settled()
    with training_group(params.finetune) as group:
        _trained(params, group)


def _trained(
    params: Params, group: TrainingGroup
) -> "tuple[Classifier, tuple[StepPlan, ...], list[Event], int | None, Checkpoints, HeldOut | None]":
    settings, manifest = params.finetune, read_manifest()
    backbone, weights_sha256 = _start(settings)
    if group.leads:
        strategy_steps(backbone, settings, ())  # what does not suit the backbone is refused before anything is computed
    made_from = {name: sha256_of(path) for name, path in _MADE_FROM.items()}
    facts = {"stage": "finetune", "params": settings.model_dump(), **made_from}
    machine = machine_recipe(backbone) | device_facts(group.engine.device) | {"processes": group.place.size}
    checkpoints = Checkpoints(Path.cwd(), facts, machine)
    group.require_equal(params.data.model_dump() | facts | {"code": checkpoints.code})

    def load() -> "Target":
        return training_target(params.data.path, manifest, backbone.preprocess, settings.max_images_seen)

    target = group.in_turn(load)
    with group.agreeing():
        classifier, plans, events = adapted(backbone, target, params, checkpoints, weights_sha256, group)
    batch_size = plans[-1].batch_size if plans else first_batch_size(settings, len(target.train))
    unseen = held_out(classifier, target, params, events, weights_sha256) if group.leads else None
    return classifier, plans, events, batch_size, checkpoints, unseen


@step
def draw() -> None:
    """Draw the learning curve, and write its points for `dvc plots`."""
    from adapters.pictures import draw_learning_curve

    epochs, outcomes = read_history(HISTORY)
    draw_learning_curve(LEARNING_CURVE, epochs, outcomes)
    with atomic_write(CURVE) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("images_seen", "step", "train_loss", "val_nll", "val_accuracy"))
        for images_seen, epoch in over_all_images(epochs):
            table.writerow((images_seen, epoch.step_name, epoch.train_loss, epoch.val_nll, epoch.val_accuracy))


@step
def record() -> None:
    """Record the stage as an MLflow run, with a point an epoch over the images seen."""
    from adapters.mlflow_runs import stage_run

    epochs, outcomes = read_history(HISTORY)
    with stage_run("finetune") as run:
        run.params({f"finetune.{key}": value for key, value in read_settled().finetune.model_dump().items()})
        run.params({"backbone": read_json(RANKING, made_from=_RANKED_FROM)["winner"]})
        run.params({f"{outcome.name}.kept": outcome.kept for outcome in outcomes})
        run.params({f"{outcome.name}.blend": outcome.blend for outcome in outcomes if outcome.trained_groups})
        run.params({BATCH_SIZE: read_json(HISTORY)[BATCH_SIZE]})
        run.params({f"{search.step_name}.rate_scale": search.scale for search in read_searches(HISTORY)})
        run.params(balance_params(balance_in(HISTORY)))
        trained_on = read_json(HISTORY)[TRAINED_ON]  # other threads round differently
        run.params(
            {name if name in ("device", "deterministic") else f"torch_{name}": trained_on[name] for name in trained_on}
        )
        for images_seen, epoch in over_all_images(epochs):
            run.metrics_at(images_seen, {"val_nll": epoch.val_nll, "val_accuracy": epoch.val_accuracy})
            run.metrics_at(images_seen, {"train_loss": epoch.train_loss})
        run.artifact(LEARNING_CURVE, "finetune")
        run.artifact(HISTORY, "finetune")
        run.artifact(PLAN, "finetune")


def read_settled() -> Params:
    """Read the parameters, the strategy that `select` found in place of the word for it."""
    params = read_params()
    if params.finetune.strategy != SELECTED:
        return params
    found = read_json(RANKING, made_from=_RANKED_FROM)["strategy"]
    return replace(params, finetune=params.finetune.model_copy(update={"strategy": found}))


def _start(settings: FinetuneParams) -> "tuple[Backbone, str | None]":
    """Return what the strategy begins with: the winner with the very weights that were ranked, or random ones."""
    from transfer.backbones.reference import BackboneReference

    ranking = read_json(RANKING, made_from=_RANKED_FROM)
    winner, weights_sha256 = BackboneReference.parse(ranking["winner"]), ranking["candidates"][0]["weights_sha256"]
    return starting_backbone(winner, weights_sha256, settings)
