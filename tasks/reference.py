"""The stage `reference`: what transfer has to beat, the winner's architecture with random weights on as many images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.held_out_file import HeldOut, write_held_out
from adapters.json_files import read_json, write_json, write_plain_json
from adapters.manifest_file import Manifest, read_manifest
from adapters.model_files import WEIGHTS
from tasks.adaptation import budget, training_target
from tasks.candidates import random_candidate
from tasks.finetune import read_settled
from tasks.frozen import write_frozen
from tasks.frozen_files import MADE_FROM
from tasks.handoffs import FINETUNE_HISTORY, HELD_OUT, RANDOM_FROZEN, RANKING, REFERENCE_HISTORY, SCRATCH
from tasks.history import BATCH_SIZE, Event, history, read_history, valid
from tasks.imbalance import balance_in
from tasks.params import Params, read_params
from tasks.progress import progress
from tasks.step import step
from tasks.training_group import lone_engine
from transfer.records import EpochRecord, StepOutcome

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.backbones.backbone import Backbone, Classifier
    from transfer.data.examples import Examples, Target

HISTORY = REFERENCE_HISTORY
_PART = "history.json"


@step
def train_from_scratch() -> None:
    """Train every weight from random, on as many images as the fine-tuned model saw in all its steps.

    It is not stopped early, it keeps the weights of its best epoch on validation, as the steps of fine-tuning do, and
    like them it leaves out a single image that a last pass would be of.
    """
    from dataclasses import replace

    from transfer.backbones.backbone import Classifier
    from transfer.finetuning.loop import train
    from transfer.finetuning.measuring import predict_logits
    from transfer.finetuning.plan import scratch_plan
    from transfer.finetuning.problem import Problem

    params, manifest = read_params(), read_manifest()
    backbone, target = _prepare(params, manifest)
    classifier = Classifier(backbone, target.n_classes)
    plan = scratch_plan([group.name for group in backbone.depth_groups], params.reference.learning_rate)
    n_images, engine = images_seen(), lone_engine(params.finetune)
    batch_size = read_json(FINETUNE_HISTORY)[BATCH_SIZE]
    limits = replace(budget(params.finetune, batch_size), max_images=n_images, epochs=n_images, patience=None)
    with progress("training from scratch", total=limits.n_images(len(target.train))) as bar:
        engine.placed(classifier)
        problem = Problem.of_images(classifier, target, limits.augmentation, engine)
        events = list(train(classifier, problem, plan, limits, params.reference.seed, advance=bar.advance))
        engine.taken_back(classifier)
    epochs = [event for event in valid(events) if isinstance(event, EpochRecord)]
    best, seen = min(epochs, key=lambda epoch: epoch.val_nll), epochs[-1].images_seen
    outcome = StepOutcome(plan.name, tuple(plan.rates), None, best.val_nll, best.val_accuracy, seen, kept=True)
    _save(SCRATCH, classifier, manifest, [*events, outcome])
    _hold_out(SCRATCH, predict_logits(classifier, target.val.inputs), target, left_out=False)


@step
def probe_random_features() -> None:
    """Fit the head that fine-tuning began with on a random frozen trunk, and write the common history.

    A frozen trunk gives the same features at every pass: one pass stands for all the images the fine-tuned model saw.
    Its norm statistics are those of the training images, since random ones describe nothing. Like the probe of
    fine-tuning, it is fitted to validation rows too once they have nothing more to decide.
    """
    from dataclasses import replace

    from transfer.backbones.features import extract_features
    from transfer.backbones.heads import take_head
    from transfer.finetuning.measuring import logits_of
    from transfer.finetuning.norms import reestimate
    from transfer.finetuning.probing import fitted_to_all, probed, refitted
    from transfer.heads.fits import fit_of

    params, manifest = read_params(), read_manifest()
    backbone, target = _prepare(params, manifest)
    reestimate(backbone, target.train.inputs)
    fit = fit_of(params.finetune.head, params.reference.seed)
    with progress("probing random features", total=1) as bar:
        rows = {id(one): extract_features(backbone, one.inputs) for one in (target.train, target.val)}

        def features(_: "Backbone", examples: "Examples") -> "Tensor":
            return rows[id(examples)]

        classifier, (record, outcome) = probed(backbone, target, features, fit)
        head, more = refitted(classifier, target, features, fit)
        unseen = logits_of(classifier.head, features(backbone, target.val))
        if head:
            unseen = fitted_to_all(backbone, target, features, fit).held_out[len(target.train) :]
        take_head(classifier, head)
        bar.advance()
    named: list[Event] = [replace(record, step_name="random_frozen"), replace(outcome, name="random_frozen")]
    named += [replace(one, name=f"random_frozen_{one.name}") for one in more]
    _save(RANDOM_FROZEN, classifier, manifest, named)
    _hold_out(RANDOM_FROZEN, unseen, target, left_out=bool(head))
    _join()


@step
def probe_pretrained_features() -> None:
    """Fit heads to the pretrained trunk as it came: what fine-tuning has to add to."""
    write_frozen(read_settled(), read_manifest())


@step
def record() -> None:
    """Record the stage as an MLflow run."""
    from adapters.mlflow_runs import stage_run
    from transfer.evaluation.comparison import CAVEAT

    epochs, outcomes = read_history(HISTORY)
    with stage_run("reference") as run:
        run.params({f"reference.{key}": value for key, value in read_params().reference.model_dump().items()})
        run.params({"note": CAVEAT, "images_seen": images_seen()})
        for outcome in outcomes:
            run.metrics({f"{outcome.name}_val_nll": outcome.val_nll_after})
            run.metrics({f"{outcome.name}_val_accuracy": outcome.val_accuracy})
            run.params({f"{outcome.name}.images_seen": outcome.images_seen})
        for epoch in epochs:
            run.metrics_at(epoch.images_seen, {f"{epoch.step_name}_epoch_val_nll": epoch.val_nll})
        run.artifact(HISTORY, "reference")


def images_seen() -> int:
    """Return the training images that the fine-tuned model saw: the probe's one pass and every step, undone ones too.

    Raises:
        UserError: the history was made from another manifest, quarantine or ranking.
    """
    made_from = {name: MADE_FROM[name] for name in ("manifest", "quarantine", "ranking")}
    return sum(outcome.images_seen for outcome in read_history(FINETUNE_HISTORY, made_from)[1])


def _prepare(params: Params, manifest: Manifest) -> "tuple[Backbone, Target]":
    from dataclasses import replace

    from transfer.backbones.reference import BackboneReference

    winner = BackboneReference.parse(read_json(RANKING)["winner"])
    backbone = random_candidate(winner, params.reference.seed)
    limit = params.finetune.max_images_seen
    target = training_target(params.data.path, manifest, backbone.preprocess, limit)
    return backbone, replace(target, balance=balance_in(FINETUNE_HISTORY))  # what the fine-tuned model had


def _save(folder: Path, classifier: "Classifier", manifest: Manifest, events: Sequence[Event]) -> None:
    from adapters.model_files import save_model
    from transfer.backbones.card import ModelCard

    save_model(folder, classifier, ModelCard.of(classifier, manifest.classes))
    write_plain_json(folder / _PART, history(events))


def _hold_out(folder: Path, logits: "Tensor", target: "Target", *, left_out: bool) -> None:
    """Write what a reference makes of validation rows that it was not fitted to, beside the model."""
    found = HeldOut(logits.float(), target.val.labels, left_out=left_out, sharpness=None)
    write_held_out(folder / HELD_OUT.name, found, {"model": folder / WEIGHTS})


def _join() -> None:
    """Write one history of both references, with the sentence that every figure of theirs carries."""
    import json

    from transfer.evaluation.comparison import CAVEAT

    parts = [json.loads((folder / _PART).read_text(encoding="utf-8")) for folder in (SCRATCH, RANDOM_FROZEN)]
    joined = {key: [row for part in parts for row in part[key]] for key in ("epochs", "rescues", "steps")}
    write_json(HISTORY, {"note": CAVEAT, **joined}, MADE_FROM)
