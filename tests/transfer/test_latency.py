"""The latency of the worse cases, by a clock that says what each image takes."""

from itertools import chain

import numpy as np
import pytest
import torch

from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.backbones.speed import latency_p95_s


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0), 2)


def test_95_of_100_images_are_through_in_that_time(classifier: Classifier) -> None:
    warm, timed = [9.0] * 5, np.random.default_rng(0).permutation(np.arange(1.0, 101.0)).tolist()
    ticks = iter(chain.from_iterable((0.0, seconds) for seconds in (*warm, *timed)))
    found = latency_p95_s(classifier, lambda: next(ticks))
    assert found == 95.0
    assert sum(seconds <= found for seconds in timed) == 95
    assert next(ticks, None) is None


def test_the_classifier_is_left_as_it_was(classifier: Classifier) -> None:
    classifier.train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    ticks = iter(range(1000))
    assert latency_p95_s(classifier, lambda: float(next(ticks))) == 1.0
    assert classifier.training
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())
