"""What a network makes of labelled rows: losses, accuracy, logits, in evaluation mode."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Classifier
from transfer.backbones.modes import evaluating
from transfer.data.batches import normalise
from transfer.finetuning.inputs import Inputs
from transfer.finetuning.parallel import ALONE, Ranks, filled_share
from transfer.metrics.class_weights import equal_weights
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
        strata: the class of every row, int64 (N,), where each class counts the same; None where each row does.
    """

    losses: Tensor
    right: Tensor
    sharpness: float
    strata: Tensor | None = None

    @property
    def nll(self) -> float:
        """Return the mean loss, nats."""
        return self._mean(self.losses)

    @property
    def accuracy(self) -> float:
        """Return the share of rows that were recognised."""
        return self._mean(self.right.double())

    def _mean(self, values: Tensor) -> float:
        return float((values if self.strata is None else values * equal_weights(self.strata)).mean())


def judged(network: nn.Module, inputs: Inputs, ranks: Ranks = ALONE, *, equally: bool = False) -> Judgement:
    """Judge a network in evaluation mode, each process on its share of the rows; the mode is restored.

    Args:
        network: what is judged.
        inputs: rows it is judged by.
        ranks: the processes; all of them get the judgement of process 0, so that all decide the same by it.
        equally: whether each class counts the same; each row does otherwise.
    """
    n_rows = len(inputs.labels)
    part, counted = filled_share(n_rows, ranks.rank, ranks.size)
    own = _logits(network, inputs.plain(part))
    found = judgement_of(ranks.gathered(own if counted else own[:0], n_rows), inputs.labels, equally=equally)
    if ranks.size == 1:
        return found
    sharpness = torch.tensor(found.sharpness, dtype=torch.float64)
    said, _ = ranks.told({"losses": found.losses, "right": found.right, "sharpness": sharpness})
    return replace(found, losses=said["losses"], right=said["right"], sharpness=float(said["sharpness"]))


def judgement_of(logits: Tensor, labels: Tensor, *, equally: bool = False) -> Judgement:
    """Judge logits (N, C) by labels int64 (N,); where one is not finite, the losses are not either."""
    wide, strata = logits.double(), labels if equally else None
    weights = None if strata is None else equal_weights(strata)
    sharpness = calibrated(wide, labels, weights=weights)[0] if bool(torch.isfinite(wide).all()) else 1.0
    losses = nn.functional.cross_entropy(sharpness * wide, labels, reduction="none")
    return Judgement(losses, logits.argmax(1) == labels, sharpness, strata)


def predict_features(classifier: Classifier, inputs: Tensor, advance: Callable[[int], None] = lambda _: None) -> Tensor:
    """Return features float32 (N, feature_dim) of prepared images, as `predict_logits` computes them on the way."""
    images = (normalise(batch, classifier.backbone.preprocess) for batch in inputs.split(_BATCH))
    return _logits(classifier.backbone, images, advance)


def logits_of(head: nn.Module, features: Tensor) -> Tensor:
    """Return logits float32 (N, n_classes) of features float32 (N, D), those that `predict_logits` ends with."""
    return _logits(head, iter(features.split(_BATCH)))


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
