"""Operations counted without computing: as many as PyTorch's own counter finds while it computes."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from transfer.backbones.build import build_backbone
from transfer.backbones.executors import FromPixels
from transfer.backbones.operations import n_operations, shapes_of
from transfer.backbones.reference import BackboneReference
from transfer.records import Preprocess


@pytest.mark.parametrize("arch", ["mobilenet_v2", "resnet18", "densenet121", "googlenet", "swin_t", "convnext_tiny"])
def test_the_count_is_pytorchs(arch: str) -> None:
    backbone = build_backbone(BackboneReference.parse(f"torchvision/{arch}?crop_px=64@none"), None, seed=0).eval()
    images = torch.zeros(2, 3, 64, 64)
    with torch.no_grad(), FlopCounterMode(display=False) as theirs:
        features = backbone(images)
    assert n_operations(backbone, images) == theirs.get_total_flops() > 0
    made = shapes_of(backbone, images)
    assert made.is_meta
    assert made.shape == features.shape


def test_a_layer_by_hand() -> None:
    convolution = torch.nn.Conv2d(4, 6, 3, padding=1, groups=2)
    assert n_operations(convolution, torch.zeros(1, 4, 5, 5)) == 2 * 6 * 25 * 2 * 9
    assert n_operations(torch.nn.Linear(7, 3), torch.zeros(2, 7)) == 2 * 2 * 7 * 3


def test_buffers_that_are_not_stored_count_as_values_too() -> None:
    network = FromPixels(torch.nn.Conv2d(3, 2, 1), Preprocess(8, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    assert n_operations(network, torch.zeros(1, 3, 8, 8, dtype=torch.uint8)) == 2 * 2 * 64 * 3


def test_nothing_of_the_network_changes() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    n_operations(network, torch.zeros(2, 3, 8, 8))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
