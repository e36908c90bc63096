"""What a network makes of labelled rows: losses, accuracy, logits, in evaluation mode."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Classifier
from transfer.backbones.modes import evaluating
from transfer.data.batches import normalise
from transfer.finetuning.inputs import Inputs
from transfer.metrics.temperature import calibrated

_BATCH = 64


@dataclass(frozen=True)
class Judgement:
    """How a network does on labelled rows, at the temperature that suits it best.

    Label smoothing, averages and blends change how sure a network is more than what it knows; at its own best
    temperature each is judged by what it knows.

    Args:
        losses: negative log likelihood of every row, float64 (N,), nats.
        right: whether the row was recognised, bool (N,).
        sharpness: the inverse temperature; logits times it have these losses.
    """

    losses: Tensor
    right: Tensor
    sharpness: float

    @property
    def nll(self) -> float:
        """Return the mean loss, nats."""
        return float(self.losses.mean())

    @property
    def accuracy(self) -> float:
        """Return the share of rows that were recognised."""
        return float(self.right.double().mean())


def judged(network: nn.Module, inputs: Inputs) -> Judgement:
    """Judge a network in evaluation mode; the mode is restored."""
    return judgement_of(_logits(network, inputs.plain()), inputs.labels)


def judgement_of(logits: Tensor, labels: Tensor) -> Judgement:
    """Judge logits (N, C) by labels int64 (N,); where one is not finite, the losses are not either."""
    wide = logits.double()
    sharpness = calibrated(wide, labels)[0] if bool(torch.isfinite(wide).all()) else 1.0
    losses = nn.functional.cross_entropy(sharpness * wide, labels, reduction="none")
    return Judgement(losses, logits.argmax(1) == labels, sharpness)


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
