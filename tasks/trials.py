"""Short fine-tunes inside the stage `select`, of the candidates that scores cannot tell apart."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.json_files import sha256_of
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from tasks.adaptation import adapted, chosen_splits, training_target
from tasks.candidates import candidate
from tasks.checkpoints import Checkpoints
from tasks.features import features_of, machine_recipe
from tasks.memory import gains_of
from tasks.params import Params
from tasks.params_blocks import FinetuneParams
from tasks.scoring import Outcome, Pool, in_question, labels_of_rows
from tasks.step import step
from tasks.strategy import starting_backbone
from tasks.training_group import training_group
from transfer.errors import RootstockError

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.backbones.reference import BackboneReference
    from transfer.selection.trials import Arm, Trial, Tried


@step
def try_level(pool: Pool, outcomes: Sequence[Outcome]) -> "Tried | None":
    """Fine-tune the candidates that scores leave level for a short while, with every strategy that is asked for.

    Args:
        pool: what was scored.
        outcomes: of its candidates.

    Returns:
        What came out; None where one candidate and strategy is left, or no images may be spent.

    Raises:
        UserError: no candidate could be scored, or none is within the limits.
        EnvironmentFault: memory is too small for any of them.
    """
    from transfer.selection.posterior import level_set
    from transfer.selection.ranking import believed, expected
    from transfer.selection.trials import Arm, tried

    settings, params, able = pool.params.select, pool.params, in_question(pool, outcomes)
    if not settings.trial_images:
        return None
    scores, labels = [one.scored for one in able if one.scored is not None], labels_of_rows(pool.rows)
    gains, _ = gains_of([one.score for one in scores], settings)
    probes = believed(scores, labels)
    best = expected(probes, gains).best([not one.beyond for one in able])
    level = level_set(best, settings.confidence)
    arms = [Arm(place, strategy) for place in level for strategy in settings.strategies]
    if len(arms) == 1:
        return None
    _, val_rows = chosen_splits(read_manifest(), settings.max_rows)

    def try_out(arm: "Arm", n_images: int) -> "Trial | None":
        return _attempt(able[arm.candidate].reference, arm, n_images, params)

    return tried(probes.draws, arms, labels_of_rows(val_rows), try_out, settings.trial_images, settings.confidence)


def _attempt(text: str, arm: "Arm", n_images: int, params: Params) -> "Trial | None":
    """Try an arm out and say what came of it; None where it cannot be tried."""
    from transfer.finetuning.memory import is_memory_shortage

    named = f"Trial of {text} with the strategy {arm.strategy} in {n_images} images"
    try:
        found = trial_of(text, arm, n_images, params)
    except RootstockError as error:
        print(f"{named}: left out, {error}")
        return None
    except (MemoryError, RuntimeError) as error:
        if not is_memory_shortage(error):
            raise
        print(f"{named}: left out, it does not fit into memory.")
        return None
    gained, lost = int((found.after > found.before).sum()), int((found.after < found.before).sum())
    print(f"{named}: of {len(found.after)} validation images {gained} more are recognised, {lost} no longer.")
    return found


def trial_of(text: str, arm: "Arm", n_images: int, params: Params) -> "Trial":
    """Fine-tune a candidate for a short while, as the stage `finetune` does by default, and say what that changes.

    The parameters of that stage are for what was chosen: the choice does not go stale when they change.

    Args:
        text: its reference.
        arm: what is tried.
        n_images: training images that each step may see.
        params: of the project.
    """
    from transfer.backbones.reference import BackboneReference
    from transfer.finetuning.measuring import predict_logits
    from transfer.selection.trials import Trial

    most = params.select.max_rows
    short = replace(params, finetune=FinetuneParams(strategy=arm.strategy, max_images_seen=n_images))
    reference = BackboneReference.parse(text)
    recorded = params.select.weights_sha256.get(reference.record_key or "")
    before = _probed_right(reference, recorded, params)
    backbone, sha256 = starting_backbone(reference, recorded, short.finetune)
    inputs = {"manifest": sha256_of(MANIFEST), "quarantine": sha256_of(QUARANTINE), "candidate": text}
    facts = {"stage": "trial", "params": short.finetune.model_dump(), **inputs, "sha256": sha256}
    with training_group(short.finetune) as group, contextlib.redirect_stdout(io.StringIO()):
        target = training_target(params.data.path, read_manifest(), backbone.preprocess, most)
        checkpoints = Checkpoints(Path.cwd(), facts, machine_recipe(backbone))
        classifier, _, _ = adapted(backbone, target, short, checkpoints, sha256, group, trial_rows=most)
        checkpoints.discard()
    after = predict_logits(classifier, target.val.inputs).argmax(1) == target.val.labels
    return Trial(arm, n_images, before, after.double())


def _probed_right(reference: "BackboneReference", recorded: str | None, params: Params) -> "Tensor":
    """Return whether the probe that fine-tuning begins with is right about each validation row, float64 (N,)."""
    import torch

    from transfer.heads.fits import fit_ridge

    backbone, sha256 = candidate(reference, recorded)
    manifest = read_manifest()
    splits = chosen_splits(manifest, params.select.max_rows)
    rows = [features_of(backbone, sha256, params.data.path, of_split, "features") for of_split in splits]
    labels = [labels_of_rows(of_split) for of_split in splits]
    head = fit_ridge(rows[0], labels[0], len(manifest.classes)).head
    with torch.no_grad():
        right: Tensor = head(rows[1]).argmax(1) == labels[1]
    return right.double()
