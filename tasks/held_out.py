"""What the fine-tuned model makes of validation rows, without having been fitted to them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from adapters.held_out_file import HeldOut
from adapters.manifest_file import read_manifest
from tasks.adaptation import chosen_splits
from tasks.history import Event
from tasks.imbalance import balance_of
from tasks.params import Params
from tasks.probing import features_by_split
from transfer.records import StepOutcome

if TYPE_CHECKING:
    from transfer.backbones.backbone import Classifier
    from transfer.data.examples import Target


def held_out(
    classifier: "Classifier", target: "Target", params: Params, events: Sequence[Event], weights_sha256: str | None
) -> HeldOut:
    """Return logits of the validation rows: of the model, or where it was fitted to them, of fits without each.

    Args:
        classifier: as fine-tuning left it.
        target: its rows.
        params: of the project.
        events: all that happened.
        weights_sha256: of the backbone's file; None where its weights were random.
    """
    from transfer.finetuning.measuring import predict_logits
    from transfer.finetuning.plan import NORMS, REFIT
    from transfer.finetuning.probing import fitted_to_all
    from transfer.heads.fits import fit_of

    kept = [event for event in events if isinstance(event, StepOutcome) and event.kept]
    names = {outcome.name for outcome in kept}
    if REFIT not in names:
        last = next((one for one in reversed(kept) if one.name != NORMS), None)
        logits = predict_logits(classifier, target.val.inputs)
        return HeldOut(logits, target.val.labels, left_out=False, sharpness=last.sharpness if last else None)
    rows = chosen_splits(read_manifest(), params.finetune.max_images_seen)
    own = None if NORMS in names else weights_sha256
    features = partial(features_by_split, rows, target.train, params.data.path, own)
    fit = fit_of(params.finetune.head, params.finetune.seed)
    counted = replace(target, balance=balance_of(events))
    found = fitted_to_all(classifier.backbone, counted, features, fit)
    logits = found.held_out[len(target.train) :].float()
    return HeldOut(logits, target.val.labels, left_out=True, sharpness=found.sharpness)
