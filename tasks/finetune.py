"""The stage `finetune`: the winner of `select`, adapted step by step."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write, read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, Manifest, read_manifest
from tasks.candidates import candidate
from tasks.examples import chosen_rows, prepared
from tasks.handoffs import LEARNING_CURVE, MODEL, RANKING
from tasks.params import FinetuneParams, read_params
from tasks.progress import progress
from tasks.step import step
from transfer.errors import UserError
from transfer.records import EpochRecord, Preprocess, StepOutcome

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone
    from transfer.data.examples import Examples
    from transfer.finetuning.loop import Budget
    from transfer.finetuning.plan import Step

HISTORY = Path("artifacts/finetune/history.json")
CURVE = LEARNING_CURVE.with_suffix(".csv")
_RANKED_FROM = {"manifest": MANIFEST, "quarantine": QUARANTINE}
_MADE_FROM = {"manifest": MANIFEST, "quarantine": QUARANTINE, "ranking": RANKING}


@step
def train() -> None:
    """Probe, then the last depth group, then everything; write the model and its history.

    Raises:
        UserError: the rows do not suffice, or the winner cannot be built from its weights.
    """
    from adapters.model_files import save_model
    from transfer.backbones.card import ModelCard
    from transfer.finetuning.staged import probed, run_steps

    params = read_params()
    settings, manifest = params.finetune, read_manifest()
    backbone = _winner()
    train_set, val_set = training_sets(params.data.path, manifest, backbone.preprocess, settings.max_images_seen)
    with progress("probe", total=len(train_set)) as bar:
        classifier, record, outcome = probed(
            backbone, train_set, val_set, len(manifest.classes), settings.seed, bar.advance
        )
    plan, limits = _plan(backbone, settings), budget(settings)
    with progress("fine-tuning", total=len(plan) * limits.n_images(len(train_set))) as bar:
        events = [
            record,
            outcome,
            *run_steps(classifier, train_set, val_set, plan, limits, settings.seed, bar.advance),
        ]
    save_model(MODEL, classifier, ModelCard.of(classifier, manifest.classes))
    write_json(HISTORY, history(events), _MADE_FROM)


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
    import torch

    from adapters.mlflow_runs import stage_run

    epochs, outcomes = read_history(HISTORY)
    with stage_run("finetune") as run:
        run.params({f"finetune.{key}": value for key, value in read_params().finetune.model_dump().items()})
        run.params({"backbone": read_json(RANKING, made_from=_RANKED_FROM)["winner"]})
        run.params({f"{outcome.name}.kept": outcome.kept for outcome in outcomes})
        run.params({"torch_threads": torch.get_num_threads()})  # another number rounds differently
        for images_seen, epoch in over_all_images(epochs):
            run.metrics_at(images_seen, {"val_nll": epoch.val_nll, "val_accuracy": epoch.val_accuracy})
            run.metrics_at(images_seen, {"train_loss": epoch.train_loss})
        run.artifact(LEARNING_CURVE, "finetune")
        run.artifact(HISTORY, "finetune")


def training_sets(
    data_path: str, manifest: Manifest, preprocess: Preprocess, max_rows: int
) -> "tuple[Examples, Examples]":
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
    n_classes, (train_rows, val_rows) = len(manifest.classes), map(manifest.of_split, ("train", "val"))
    if not val_rows:
        raise UserError(f"{data_path} has no validation images; raise manifest.val_fraction or add a val/ folder.")
    if max_rows < n_classes:
        raise UserError(
            f"finetune.max_images_seen is {max_rows}, but {data_path} has {n_classes} classes and each needs a training"
            f" image; make it at least {n_classes}."
        )
    train_set = prepared(data_path, chosen_rows(train_rows, max_rows), preprocess, "decoding training images")
    return train_set, prepared(data_path, chosen_rows(val_rows, max_rows), preprocess, "decoding validation images")


def budget(settings: FinetuneParams) -> "Budget":
    """Return the limits that each step has."""
    from transfer.finetuning.loop import Budget

    return Budget(
        max_images=settings.max_images_seen,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing,
    )


def history(events: Iterable[EpochRecord | StepOutcome]) -> dict[str, Any]:
    """Return epochs and outcomes as plain lists."""
    kept = list(events)
    return {
        "epochs": [asdict(event) for event in kept if isinstance(event, EpochRecord)],
        "steps": [asdict(event) for event in kept if isinstance(event, StepOutcome)],
    }


def read_history(
    path: Path, made_from: Mapping[str, Path] | None = None
) -> tuple[list[EpochRecord], list[StepOutcome]]:
    """Read what `history` returned and a stage wrote.

    Args:
        path: the history.
        made_from: inputs that it must have been made from.

    Raises:
        UserError: it is missing, or was made from other inputs.
    """
    content = read_json(path, made_from)
    outcomes = [StepOutcome(**{**row, "trained_groups": tuple(row["trained_groups"])}) for row in content["steps"]]
    return [EpochRecord(**row) for row in content["epochs"]], outcomes


def over_all_images(epochs: Sequence[EpochRecord]) -> list[tuple[int, EpochRecord]]:
    """Return each epoch with the images seen since the first step began."""
    placed, before, within, name = [], 0, 0, ""
    for epoch in epochs:
        if epoch.step_name != name:
            before, name = before + within, epoch.step_name
        within = epoch.images_seen
        placed.append((before + within, epoch))
    return placed


def _plan(backbone: "Backbone", settings: FinetuneParams) -> "tuple[Step, ...]":
    from transfer.backbones.reference import BackboneReference
    from transfer.finetuning.plan import staged_plan

    return staged_plan(
        [group.name for group in backbone.depth_groups],
        settings.head_lr,
        settings.backbone_lr,
        settings.lr_decay,
        adapts_norms=BackboneReference.parse(backbone.reference).is_random,
    )


def _winner() -> "Backbone":
    """Return the winner of the ranking, with the very weights that were ranked."""
    from transfer.backbones.reference import BackboneReference

    ranking = read_json(RANKING, made_from=_RANKED_FROM)
    return candidate(BackboneReference.parse(ranking["winner"]), ranking["candidates"][0]["weights_sha256"])[0]
