"""Store and load classifiers: safetensors and a card, no pickle anywhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.json_files import atomic_write, sha256_of, write_plain_json
from transfer.errors import UserError

if TYPE_CHECKING:
    from transfer.backbones.backbone import Classifier
    from transfer.backbones.card import ModelCard

WEIGHTS, CARD = "model.safetensors", "card.json"


def save_model(folder: Path, classifier: "Classifier", card: "ModelCard") -> str:
    """Write a classifier's weights and card; return the sha256 of the weights file.

    Args:
        folder: made when it is missing; the card is written last, so that a folder with a card is whole.
        classifier: its parameters and buffers are stored as they are.
        card: what describes it.
    """
    from safetensors.torch import save_file

    state = {name: value.detach().contiguous() for name, value in classifier.state_dict().items()}
    with atomic_write(folder / WEIGHTS) as temporary:
        save_file(state, temporary)
    digest = sha256_of(folder / WEIGHTS)
    write_plain_json(folder / CARD, {**card.to_plain(), "sha256": digest})
    return digest


def load_card(folder: Path) -> "tuple[ModelCard, str]":
    """Return a stored model's card and the sha256 that its weights must have.

    Raises:
        UserError: there is no whole model in the folder.
    """
    from transfer.backbones.card import ModelCard

    if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{folder} holds no model ({WEIGHTS} and {CARD}); run the stage that writes it with `dvc repro`."
        )
    values = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return ModelCard.from_plain(values), values["sha256"]


def load_model(folder: Path) -> "tuple[Classifier, ModelCard]":
    """Load a classifier in evaluation mode.

    Raises:
        UserError: the folder holds no model, or its weights are not those the card was written for.
    """
    from safetensors.torch import load_file

    from transfer.backbones.backbone import Classifier
    from transfer.backbones.build import build_backbone
    from transfer.backbones.reference import BackboneReference

    card, digest = load_card(folder)
    if sha256_of(folder / WEIGHTS) != digest:
        raise UserError(
            f"{folder / WEIGHTS} is damaged (its sha256 is not the one in {CARD}); run `dvc checkout` or `dvc repro`."
        )
    backbone = build_backbone(BackboneReference.parse(card.reference).with_weights("none"), None, seed=0)
    backbone.preprocess, backbone.reference = card.preprocess, card.reference
    classifier = Classifier(backbone, len(card.classes))
    classifier.load_state_dict(load_file(folder / WEIGHTS))
    return classifier.eval(), card
