"""What a network makes of labelled rows: losses, accuracy, logits, in evaluation mode."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Classifier
from transfer.backbones.modes import evaluating
from transfer.data.batches import normalise
from transfer.finetuning.inputs import Inputs

_BATCH = 64


def row_losses(network: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Return the negative log likelihood of every row, float64 (N,), nats, and whether it was recognised, bool (N,).

    The network runs in evaluation mode; the mode is restored.
    """
    logits = _logits(network, inputs.plain())
    losses = nn.functional.cross_entropy(logits.double(), inputs.labels, reduction="none")
    return losses, logits.argmax(1) == inputs.labels


def evaluate(network: nn.Module, inputs: Inputs) -> tuple[float, float]:
    """Return the mean negative log likelihood (nats) and the accuracy of a network in evaluation mode."""
    losses, right = row_losses(network, inputs)
    return float(losses.mean()), float(right.double().mean())


def predict_logits(classifier: Classifier, inputs: Tensor, advance: Callable[[int], None] = lambda _: None) -> Tensor:
    """Return logits float32 (N, n_classes) of prepared images, in evaluation mode; the mode is restored."""
    images = (normalise(batch, classifier.backbone.preprocess) for batch in inputs.split(_BATCH))
    return _logits(classifier, images, advance)


def _logits(network: nn.Module, batches: Iterator[Tensor], advance: Callable[[int], None] = lambda _: None) -> Tensor:
    rows = []
    with evaluating(network), torch.no_grad():
        for batch in batches:
            rows.append(network(batch).float().cpu())
            advance(len(batch))
    return torch.cat(rows)
