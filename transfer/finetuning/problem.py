"""What is learned: a network, the rows it learns from, and the rows it is judged by."""

import math
from dataclasses import dataclass, field

from torch import nn

from transfer.backbones.backbone import Classifier
from transfer.data.batches import Augmentation
from transfer.data.examples import Target
from transfer.finetuning.engine import Engine
from transfer.finetuning.inputs import Inputs, Pixels
from transfer.finetuning.measuring import Judgement, judged
from transfer.records import ClassBalance


@dataclass(frozen=True, slots=True)
class Problem:
    """What is learned.

    Args:
        network: inputs -> logits (n, n_classes); its trained weights are the classifier's own.
        train: training rows.
        val: validation rows.
        to_beat: validation loss that progress begins below, nats: that of what the step would improve; infinite where
            there is nothing to beat.
        engine: where and how its updates are computed; the network and its rows are on the engine's device.
        balance: how unequal the classes are, and what training and judging do about it.
    """

    network: nn.Module
    train: Inputs
    val: Inputs
    to_beat: float = math.inf
    engine: Engine = field(default_factory=Engine)
    balance: ClassBalance = field(default_factory=ClassBalance)

    @classmethod
    def of_images(
        cls, classifier: Classifier, target: Target, augmentation: Augmentation, engine: Engine | None = None
    ) -> "Problem":
        """Return the problem of a classifier, on the engine's device, that reads whole images."""
        used, preprocess = engine or Engine(), classifier.backbone.preprocess
        train, val = (Pixels(one, preprocess, augmentation, used.device) for one in (target.train, target.val))
        return cls(classifier, train, val, engine=used, balance=target.balance)

    def judged(self) -> Judgement:
        """Judge the network as it is on the validation rows."""
        return judged(self.network, self.val, self.engine.ranks, equally=self.balance.equally)
