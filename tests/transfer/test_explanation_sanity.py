"""The check of maps: it is Spearman's correlation, passes what depends on weights, and fails what does not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr, ttest_1samp
from torch import Tensor

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.features import extract_features
from transfer.backbones.heads import linear_head
from transfer.data.batches import normalise
from transfer.data.examples import Examples
from transfer.explanation.maps import maps_of, methods_of
from transfer.explanation.sanity import THRESHOLD, _crossed, checked, randomised, similarity
from transfer.heads.ridge import fit_probe

Make = Callable[[], Backbone]


def _draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def probe(tiny_backbone: Make, striped: Callable[[int, int], Examples]) -> tuple[Classifier, Tensor, Tensor]:
    """Return a classifier of stripes, eight of its images and their labels."""
    backbone, examples = tiny_backbone(), striped(60, 0)
    fitted = fit_probe(extract_features(backbone, examples.inputs), examples.labels, 2)
    classifier = Classifier(backbone, 2, linear_head(fitted.weight, fitted.bias)).eval()
    return classifier, normalise(examples.inputs[:8], backbone.preprocess), examples.labels[:8]


def test_grad_cam_passes(probe: tuple[Classifier, Tensor, Tensor]) -> None:
    classifier, images, labels = probe
    method = methods_of(classifier, images)[0]
    found = checked(classifier, lambda one: maps_of(one, method, images, labels), images, 8, _draw())
    assert found.passed
    assert "they depend on what was learned" in found.sentence
    assert len(found.of_images) == 8


def _edges(images: Tensor) -> Tensor:
    grey = images.mean(1)
    made = torch.zeros_like(grey)
    made[:, 1:] += (grey[:, 1:] - grey[:, :-1]).abs()
    made[:, :, 1:] += (grey[:, :, 1:] - grey[:, :, :-1]).abs()
    return made


def _middle(images: Tensor) -> Tensor:
    line = torch.linspace(-1, 1, images.shape[-1])
    return torch.exp(-(line[:, None] ** 2) - line[None] ** 2).expand(len(images), -1, -1)


@pytest.mark.parametrize("of_image", [_edges, _middle])
def test_what_shows_the_image_alone_fails(
    probe: tuple[Classifier, Tensor, Tensor], of_image: Callable[[Tensor], Tensor]
) -> None:
    classifier, images, _ = probe
    found = checked(classifier, lambda _: of_image(images), images, 3, _draw())
    assert not found.passed
    assert found.share_passed == 0
    assert found.similarity is not None
    assert found.similarity.low == pytest.approx(1)
    assert "stay alike" in found.sentence


def test_edges_that_the_network_barely_touches_fail_too(probe: tuple[Classifier, Tensor, Tensor]) -> None:
    classifier, images, labels = probe
    method = methods_of(classifier, images)[0]

    def mostly_edges(one: Classifier) -> Tensor:
        own = maps_of(one, method, images, labels)
        return _edges(images) + 0.2 * own / own.amax((1, 2), keepdim=True).clamp(min=1e-9)

    assert not checked(classifier, mostly_edges, images, 5, _draw()).passed


def test_maps_that_say_nothing_are_told_of(probe: tuple[Classifier, Tensor, Tensor]) -> None:
    classifier, images, _ = probe
    found = checked(classifier, lambda _: torch.zeros(8, 8, 8), images, 3, _draw())
    assert (found.similarity, found.passed, found.share_passed) == (None, False, None)
    assert "nothing to compare" in found.sentence


def test_a_single_image_shows_nothing(probe: tuple[Classifier, Tensor, Tensor]) -> None:
    classifier, images, labels = probe
    method = methods_of(classifier, images)[0]
    found = checked(classifier, lambda one: maps_of(one, method, images[:1], labels[:1]), images[:1], 3, _draw())
    assert not found.passed


def test_random_networks_hold_the_same_values_in_another_order(probe: tuple[Classifier, Tensor, Tensor]) -> None:
    classifier, images, _ = probe
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    other = randomised(classifier, images, _draw())
    for (name, old), (_, new) in zip(classifier.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(old.flatten().sort().values, new.flatten().sort().values), name
    assert not torch.equal(classifier.head.weight, other.head.weight)  # type: ignore[arg-type]
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    features = [part[:, 0].detach() for part in (classifier.backbone(images), other.backbone(images))]
    assert not torch.allclose(*features)
    assert bool(features[1].std() > 0)


def test_similarity_is_spearmans() -> None:
    first, second = torch.rand(6, 20, 20, generator=_draw()), torch.rand(6, 20, 20, generator=_draw(1))
    second[:3] = (first[:3] * 3).round() + second[:3].round()  # with ties
    expected = [spearmanr(one.flatten(), other.flatten()).statistic for one, other in zip(first, second, strict=True)]
    assert np.allclose(similarity(first, second), expected, atol=1e-4)  # maps are rounded to six digits
    assert similarity(first, torch.ones_like(first)) == (None,) * 6


def test_independent_maps_are_below_the_threshold() -> None:
    coarse = torch.rand(400, 1, 7, 7, generator=_draw())  # as coarse as the last feature maps of common networks
    maps = torch.nn.functional.interpolate(coarse, (56, 56), mode="bilinear")[:, 0]
    found = [one for one in similarity(maps[:200], maps[200:]) if one is not None]
    assert max(found) < THRESHOLD + 0.1
    assert np.quantile(found, 0.975) < THRESHOLD


def test_with_many_networks_the_interval_is_students() -> None:
    values = list(np.random.default_rng(0).normal(0.2, 0.1, 12))
    found = _crossed(values, [float(np.mean(values))] * 5)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
