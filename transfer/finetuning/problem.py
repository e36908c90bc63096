"""What is learned: a network, the rows it learns from, and the rows it is judged by."""

import math
from dataclasses import dataclass, field

from torch import nn

from transfer.backbones.backbone import Classifier
from transfer.data.batches import Augmentation
from transfer.data.examples import Target
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
        balance: how unequal the classes are, and what training and judging do about it.
    """

    network: nn.Module
    train: Inputs
    val: Inputs
    to_beat: float = math.inf
    balance: ClassBalance = field(default_factory=ClassBalance)

    @classmethod
    def of_images(cls, classifier: Classifier, target: Target, augmentation: Augmentation) -> "Problem":
        """Return the problem of a classifier that reads whole images."""
        train, val = (Pixels(one, classifier.backbone.preprocess, augmentation) for one in (target.train, target.val))
        return cls(classifier, train, val, balance=target.balance)

    def judged(self) -> Judgement:
        """Judge the network as it is on the validation rows."""
        return judged(self.network, self.val, equally=self.balance.equally)
