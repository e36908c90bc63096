"""What the pretrained trunk is worth as it came: under a probe, and under class means, for which nothing is fitted.

The probe is the model that fine-tuning would have ended with, had it kept no step. Where it kept none, the model is the
probe, and is not stored twice; nor is a trunk that is the model's.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from adapters.json_files import read_json
from adapters.manifest_file import Manifest
from tasks.adaptation import chosen_splits, training_target
from tasks.frozen_files import NEAREST_MEAN, SOURCE, Frozen
from tasks.handoffs import FINETUNE_HISTORY, FROZEN, RANKING
from tasks.history import read_history
from tasks.imbalance import balance_in
from tasks.params import Params
from tasks.probing import features_by_split
from tasks.strategy import starting_backbone

if TYPE_CHECKING:
    from torch import Tensor

    from transfer.backbones.backbone import Backbone, Classifier
    from transfer.backbones.reference import BackboneReference
    from transfer.data.examples import Target


def write_frozen(params: Params, manifest: Manifest) -> None:
    """Fit both heads to the rows that fine-tuning had, and write what the model does not hold itself.

    Args:
        params: of the project, the strategy as `select` found it.
        manifest: whose rows.

    Raises:
        UserError: the history was made from other inputs, or the winner cannot be built from its weights.
    """
    from adapters.model_files import save_head, save_model
    from transfer.backbones.card import ModelCard
    from transfer.backbones.reference import BackboneReference
    from transfer.finetuning.plan import NORMS, PROBE, REFIT
    from transfer.heads.nearest_mean import nearest_mean

    ranking = read_json(RANKING)
    winner, recorded = BackboneReference.parse(ranking["winner"]), ranking["candidates"][0]["weights_sha256"]
    backbone, weights_sha256 = starting_backbone(winner, recorded, params.finetune)
    kept = {outcome.name for outcome in read_history(FINETUNE_HISTORY)[1] if outcome.kept}
    found = Frozen(weights_sha256 is not None, weights_sha256 is not None and not kept - {PROBE, NORMS, REFIT})
    if found.pretrained:
        target = training_target(params.data.path, manifest, backbone.preprocess, params.finetune.max_images_seen)
        target = replace(target, balance=balance_in(FINETUNE_HISTORY))
        found = replace(found, source_classes=_write_source(backbone, winner, recorded, manifest.classes))
        parts = _features(backbone, target, params, manifest, None if NORMS in kept else weights_sha256)
        if not found.model_is_probe:
            save_model(FROZEN, probe := _probe(backbone, target, params, parts), ModelCard.of(probe, manifest.classes))
        save_head(NEAREST_MEAN, nearest_mean(*_together(target, parts), target.n_classes))
    found.write()


def _write_source(
    backbone: "Backbone", winner: "BackboneReference", weights_sha256: str | None, classes: Sequence[str]
) -> tuple[str, ...]:
    """Write the network as it came, if its own head knows all classes; return the head's names for them, else none.

    It is a model of its own: fine-tuning may have kept other norm statistics in its trunk.
    """
    from adapters.model_files import save_model
    from adapters.weights_files import load_weights
    from transfer.backbones.backbone import Classifier
    from transfer.backbones.card import ModelCard
    from transfer.backbones.source_head import source_head

    weights = load_weights(winner, weights_sha256)
    found = source_head(weights.reference, weights.state_dict or {}, classes)
    if found is None:
        return ()
    head, names = found
    network = Classifier(backbone, len(classes), head)
    save_model(SOURCE, network, ModelCard.of(network, tuple(classes)))
    return names


def _features(
    backbone: "Backbone", target: "Target", params: Params, manifest: Manifest, weights_sha256: str | None
) -> "tuple[Tensor, Tensor]":
    """Return the features of training and validation rows; without a digest, under the target's own norm statistics."""
    from transfer.finetuning.norms import reestimate

    if weights_sha256 is None:
        reestimate(backbone, target.train.inputs)
    rows = chosen_splits(manifest, params.finetune.max_images_seen)
    read = partial(features_by_split, rows, target.train, params.data.path, weights_sha256, backbone)
    return read(target.train), read(target.val)


def _probe(backbone: "Backbone", target: "Target", params: Params, parts: "tuple[Tensor, Tensor]") -> "Classifier":
    """Return the model that fine-tuning would have ended with, had it kept no step."""
    from transfer.backbones.heads import take_head
    from transfer.finetuning.probing import probed, refitted
    from transfer.heads.fits import fit_of

    fit = fit_of(params.finetune.head, params.finetune.seed)
    known = {id(target.train): parts[0], id(target.val): parts[1]}
    classifier, _ = probed(backbone, target, lambda _, examples: known[id(examples)], fit)
    head, _ = refitted(classifier, target, lambda _, examples: known[id(examples)], fit)
    take_head(classifier, head)
    return classifier


def _together(target: "Target", parts: "tuple[Tensor, Tensor]") -> "tuple[Tensor, Tensor]":
    import torch

    return torch.cat(parts), torch.cat((target.train.labels, target.val.labels))
