"""A trunk is cut where training begins; both parts together are the trunk, in every architecture."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.boundary import cut
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.finetuning.freezing import group_names, thaw

MakeBackbone = Callable[[], Backbone]
FAMILIES: tuple[Any, ...] = (
    "rootstock/strokes@none",
    "torchvision/mobilenet_v2?crop_px=64@none",
    "torchvision/resnet18?crop_px=64@none",
    pytest.param("torchvision/densenet121?crop_px=64@none", marks=pytest.mark.slow),
    pytest.param("torchvision/googlenet?crop_px=64@none", marks=pytest.mark.slow),
    "torchvision/shufflenet_v2_x0_5?crop_px=64@none",
    "torchvision/squeezenet1_1?crop_px=64@none",
    "torchvision/swin_t?crop_px=64@none",
)


def built(reference: str) -> Classifier:
    return Classifier(build_backbone(BackboneReference.parse(reference), None, seed=0), 2)


def images_of(classifier: Classifier, n_images: int) -> torch.Tensor:
    side = classifier.backbone.preprocess.crop_px
    drawn = torch.rand((n_images, 3, side, side), generator=torch.Generator().manual_seed(0))
    return drawn.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("reference", FAMILIES)
def test_both_parts_are_the_trunk_bit_for_bit(reference: str) -> None:
    classifier = built(reference)
    images, names = images_of(classifier, 3), group_names(classifier)
    shares = []
    for first in range(1, len(names)):
        thaw(classifier, names[first:])
        boundary = cut(classifier.backbone)
        assert boundary is not None
        classifier.eval()
        with torch.no_grad():
            rows = boundary.prefix(images)
            assert rows.shape == (3, boundary.width)
            whole = classifier.backbone(images)
            found = boundary.suffix(rows)
        assert torch.allclose(found, whole, rtol=1e-5, atol=1e-6 * float(whole.abs().max()))
        shares.append(boundary.frozen_share)
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1.0


def test_nothing_is_cut_where_the_first_layer_is_trained(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    thaw(classifier, group_names(classifier))
    assert cut(classifier.backbone) is None


def test_a_module_in_training_mode_belongs_to_the_rest(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    thaw(classifier, ("head",))
    whole = cut(classifier.backbone)
    classifier.backbone.trunk.get_submodule("middle.1").train()  # its statistics move: what follows is not fixed
    part = cut(classifier.backbone)
    assert whole is not None
    assert part is not None
    assert part.frozen_share < whole.frozen_share
    assert part.after.startswith("middle_0")


def test_gradients_reach_the_trunk_through_the_rest(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    thaw(classifier, ("deep", "head"))
    boundary = cut(classifier.backbone)
    assert boundary is not None
    images = images_of(classifier, 4)
    boundary.suffix(boundary.prefix(images)).square().sum().backward()
    through = {name: value.grad.clone() for name, value in classifier.named_parameters() if value.grad is not None}
    classifier.zero_grad()
    classifier.backbone(images).square().sum().backward()
    assert set(through) == {name for name, value in classifier.named_parameters() if value.grad is not None} != set()
    for name, value in classifier.named_parameters():
        if value.grad is not None:
            torch.testing.assert_close(through[name], value.grad)


def test_the_digest_is_of_the_prefix_and_of_nothing_else(tiny_backbone: MakeBackbone) -> None:
    digests = []
    for change in (None, "deep.0.weight", "stem.0.weight", "stem.1.running_mean"):
        classifier = Classifier(tiny_backbone(), 2)
        thaw(classifier, ("deep", "head"))
        if change:
            classifier.backbone.trunk.state_dict()[change].add_(1.0)
        boundary = cut(classifier.backbone)
        assert boundary is not None
        digests.append(boundary.digest())
    plain, deep, weight, statistic = digests
    assert plain == deep
    assert len({plain, weight, statistic}) == 3


def test_cutting_changes_nothing(tiny_backbone: MakeBackbone) -> None:
    classifier = Classifier(tiny_backbone(), 2)
    thaw(classifier, ("deep", "head"), adapts_norms=True)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    modes = [module.training for module in classifier.modules()]
    cut(classifier.backbone)
    assert [module.training for module in classifier.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_a_trunk_that_decides_by_values_runs_whole(tiny_backbone: MakeBackbone) -> None:
    class Moody(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.mean()) > 0 else -x

    backbone = tiny_backbone()
    backbone.trunk.add_module("moody", Moody())
    classifier = Classifier(backbone, 2)
    thaw(classifier, ("deep", "head"))
    assert cut(backbone) is None
