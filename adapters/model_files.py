"""Store and load classifiers: safetensors and a card, no pickle anywhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.json_files import atomic_write, sha256_of, write_plain_json
from transfer.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear, Module

    from transfer.backbones.backbone import Backbone, Classifier
    from transfer.backbones.card import ModelCard

WEIGHTS, CARD = "model.safetensors", "card.json"
TRUNK, _HEAD = "backbone.trunk.", "head."


def save_model(folder: Path, classifier: "Classifier", card: "ModelCard") -> str:
    """Write a classifier's weights and card; return the sha256 of the weights file.

    Args:
        folder: made when it is missing; the card is written last, so that a folder with a fitting card is whole.
        classifier: its parameters and buffers are stored as they are.
        card: what describes it.

    Raises:
        EnvironmentFault: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save

    state = {name: value.detach().contiguous() for name, value in classifier.state_dict().items()}
    with atomic_write(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(state))  # through Python, which tells a full disk from other failures
    digest = sha256_of(folder / WEIGHTS)
    write_plain_json(folder / CARD, {**card.to_plain(), "sha256": digest})
    return digest


def save_head(path: Path, head: "Linear") -> None:
    """Write a linear head alone.

    Raises:
        EnvironmentFault: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save

    with atomic_write(path) as temporary:
        temporary.write_bytes(save({name: value.detach().contiguous() for name, value in head.state_dict().items()}))


def load_head(path: Path) -> "Module":
    """Load what `save_head` wrote.

    Raises:
        UserError: it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from transfer.backbones.heads import LINEAR, head_of

    try:
        return head_of(LINEAR, load_file(path)).eval()
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is missing or damaged ({error}); run `dvc checkout` or `dvc repro`.") from error


def keeps_statistics(folder: Path) -> bool:
    """Say whether a stored model has norm layers that keep running statistics; only the names in its file are read."""
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, framework="numpy") as stored:
        return any(name.endswith(".running_mean") for name in stored.keys())  # noqa: SIM118  it is no mapping


def load_card(folder: Path) -> "tuple[ModelCard, str]":
    """Return a stored model's card and the sha256 that its weights must have.

    Raises:
        UserError: there is no whole model in the folder, or its card cannot be read.
    """
    from transfer.backbones.card import ModelCard

    if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{folder} holds no model ({WEIGHTS} and {CARD}); run the stage that writes it with `dvc repro`."
        )
    try:
        values = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return ModelCard.from_plain(values), str(values["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / CARD} is damaged ({type(error).__name__}: {error}); run `dvc checkout` or `dvc repro`."
        ) from error


def load_model(folder: Path) -> "tuple[Classifier, ModelCard]":
    """Load a classifier in evaluation mode.

    Raises:
        UserError: the folder holds no model, or its weights are not those the card was written for.
    """
    from safetensors.torch import load_file

    from transfer.backbones.backbone import Classifier
    from transfer.backbones.heads import head_of, n_classes_of

    card, digest = load_card(folder)
    path = folder / WEIGHTS
    if sha256_of(path) != digest:
        raise UserError(f"{path} is damaged (its sha256 is not the one in {CARD}); run `dvc checkout` or `dvc repro`.")
    state = load_file(path)
    backbone, head = _backbone(card, state, str(path)), head_of(card.head, _of(state, _HEAD))
    if n_classes_of(head) != len(card.classes):
        raise UserError(
            f"{path} has a head of {n_classes_of(head)} classes, {CARD} names {len(card.classes)}; "
            f"run `dvc checkout` or `dvc repro`."
        )
    return Classifier(backbone, len(card.classes), head).eval(), card


def _backbone(card: "ModelCard", state: "dict[str, Tensor]", name: str) -> "Backbone":
    """Build the card's backbone for the card's image size, whatever size the weights of its reference were made for."""
    from transfer.backbones.build import build_backbone
    from transfer.backbones.reference import RANDOM, BackboneReference

    reference = BackboneReference.parse(card.reference).with_weights(RANDOM)
    sized = reference.with_sizes(card.preprocess.resize_px, card.preprocess.crop_px)
    backbone = build_backbone(sized, _of(state, TRUNK), seed=0, weights_name=name)
    backbone.preprocess, backbone.reference = card.preprocess, card.reference
    return backbone


def _of(state: "dict[str, Tensor]", prefix: str) -> "dict[str, Tensor]":
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
