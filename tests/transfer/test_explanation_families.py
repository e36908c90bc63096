"""A map comes out for every family of architectures, with random weights, and no layer is named."""

import pytest
import torch

from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.heads import linear_head
from transfer.backbones.reference import BackboneReference
from transfer.explanation.maps import GRAD_CAM, maps_of, methods_of

QUICK = (
    "rootstock/strokes",
    "rootstock/cifar_resnet20",
    "torchvision/mobilenet_v3_small?crop_px=64",
    "torchvision/shufflenet_v2_x0_5?crop_px=64",
    "torchvision/squeezenet1_1?crop_px=64",
)
SLOW = (
    "rootstock/cifar_resnet56",
    "torchvision/alexnet?crop_px=128",
    "torchvision/convnext_tiny?crop_px=64",
    "torchvision/densenet121?crop_px=64",
    "torchvision/efficientnet_b0?crop_px=64",
    "torchvision/efficientnet_v2_s?crop_px=64",
    "torchvision/googlenet?crop_px=64",
    "torchvision/inception_v3?crop_px=96",
    "torchvision/maxvit_t",
    "torchvision/mnasnet0_5?crop_px=64",
    "torchvision/mobilenet_v2?crop_px=64",
    "torchvision/mobilenet_v3_large?crop_px=64",
    "torchvision/regnet_x_400mf?crop_px=64",
    "torchvision/regnet_y_400mf?crop_px=64",
    "torchvision/resnet18?crop_px=32",
    "torchvision/resnet50?crop_px=64",
    "torchvision/resnext50_32x4d?crop_px=64",
    "torchvision/swin_t?crop_px=128",
    "torchvision/swin_v2_t?crop_px=128",
    "torchvision/vgg11?crop_px=64",
    "torchvision/vgg11_bn?crop_px=64",
    "torchvision/vit_b_32?crop_px=128",
    "torchvision/wide_resnet50_2?crop_px=64",
)


@pytest.mark.parametrize("reference", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_family_has_maps(reference: str) -> None:
    backbone = build_backbone(BackboneReference.parse(reference).with_weights("none"), None, seed=0)
    draw = torch.Generator().manual_seed(0)
    classifier = Classifier(
        backbone, 3, linear_head(torch.randn(3, backbone.feature_dim, generator=draw), torch.zeros(3))
    )
    side = backbone.preprocess.crop_px
    images = torch.randn(2, 3, side, side, generator=draw)
    method = methods_of(classifier, images)[0]
    assert method.name == GRAD_CAM
    (side_of_grids,) = {grid.side for grid in method.grids}
    assert 4 <= side_of_grids < side
    assert 1 <= len(set(method.layers)) == len(method.layers) <= 5
    maps = maps_of(classifier, method, images, torch.tensor([0, 1]))
    assert maps.shape == (2, side, side)
    assert bool(maps.isfinite().all())
    assert bool((maps.flatten(1).amax(1) > maps.flatten(1).amin(1)).all())
