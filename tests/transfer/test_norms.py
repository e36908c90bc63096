"""Norm statistics of the target's own images."""

from collections.abc import Callable

import pytest
import torch

from transfer.backbones.backbone import Backbone
from transfer.data.batches import normalise
from transfer.data.examples import Examples
from transfer.finetuning.norms import reestimate, statistics_of

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]


def test_statistics_become_those_of_the_images(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    backbone, images = tiny_backbone(), striped(32, 0).inputs
    reestimate(backbone, images)
    with torch.no_grad():
        inner = backbone.trunk.get_submodule("stem.0")(normalise(images, backbone.preprocess))
    norm = backbone.trunk.get_submodule("stem.1")
    torch.testing.assert_close(norm.running_mean, inner.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, inner.transpose(0, 1).flatten(1).var(1))


@pytest.mark.parametrize("n_images", [2, 31, 33, 65])
def test_weights_modes_and_momenta_stay(tiny_backbone: MakeBackbone, striped: MakeExamples, n_images: int) -> None:
    backbone, seen = tiny_backbone().train(), []
    before = {name: value.detach().clone() for name, value in backbone.named_parameters()}
    reestimate(backbone, striped(n_images, 0).inputs, seen.append)
    assert all(torch.equal(value, before[name]) for name, value in backbone.named_parameters())
    assert all(module.training for module in backbone.modules())
    assert {norm.momentum for norm in statistics_of(backbone)} == {0.1}
    assert sum(seen) == n_images
    assert min(seen) >= 2


def test_what_keeps_no_statistics_is_not_listed(tiny_backbone: MakeBackbone) -> None:
    backbone = tiny_backbone()
    assert len(statistics_of(backbone)) == 3
    backbone.trunk.add_module("layer_norm", torch.nn.LayerNorm(6))
    assert len(statistics_of(backbone)) == 3
