"""Residual networks for small images: the sizes of the paper, its shortcut, and published weights that fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.weights_files import load_weights
from transfer.backbones.build import bare_backbone, build_backbone
from transfer.backbones.cifar_resnet import DEPTH_GROUPS, FEATURE_DIM, BasicBlock, CifarResNet
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import normalise
from transfer.errors import UserError

PUBLISHED_MILLIONS = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}  # He et al. 2016, table 6, classifier included


@pytest.mark.parametrize("depth", PUBLISHED_MILLIONS)
def test_there_are_as_many_parameters_as_published(depth: int) -> None:
    n_parameters = sum(parameter.numel() for parameter in CifarResNet(depth).parameters()) + 10 * (FEATURE_DIM + 1)
    assert n_parameters / 1e6 == pytest.approx(PUBLISHED_MILLIONS[depth], abs=0.05 if depth == 110 else 0.005)


@pytest.mark.parametrize("side_px", [8, 32, 45])
def test_features_have_one_width_at_every_size(side_px: int) -> None:
    assert CifarResNet(20).eval()(torch.zeros(2, 3, side_px, side_px)).shape == (2, FEATURE_DIM)


def test_a_shortcut_takes_every_second_pixel_and_pads_channels_with_zeros() -> None:
    block, x = BasicBlock(4, 8, 2).eval(), torch.rand(1, 4, 6, 6)
    torch.nn.init.zeros_(block.bn2.weight)  # the residual is then nothing
    expected = torch.zeros(1, 8, 3, 3)
    expected[:, 2:6] = x[:, :, ::2, ::2]
    torch.testing.assert_close(block(x), expected)


def test_every_value_is_in_exactly_one_depth_group() -> None:
    backbone = bare_backbone(BackboneReference.parse("rootstock/cifar_resnet20"))
    assert [group.name for group in backbone.depth_groups] == [name for name, _ in DEPTH_GROUPS]
    for name in backbone.trunk.state_dict():
        assert sum(group.holds(name) for group in backbone.depth_groups) == 1


def test_random_weights_are_those_of_the_seed() -> None:
    reference = BackboneReference.parse("rootstock/cifar_resnet20@none")
    first, again, other = (build_backbone(reference, None, seed=seed).trunk.state_dict() for seed in (0, 0, 1))
    assert torch.equal(first["layer3.2.conv2.weight"], again["layer3.2.conv2.weight"])
    assert not torch.equal(first["layer3.2.conv2.weight"], other["layer3.2.conv2.weight"])


def test_what_has_no_weights_here_says_how_to_name_some() -> None:
    with pytest.raises(UserError, match=r"cifar_resnet56 comes without weights; name a file with .*@PATH, or write"):
        load_weights(BackboneReference.parse("rootstock/cifar_resnet56"))


def test_images_too_small_and_options_are_refused() -> None:
    with pytest.raises(UserError, match=r"cifar_resnet20 cannot run on images of 7 px; make crop_px at least 8"):
        bare_backbone(BackboneReference.parse("rootstock/cifar_resnet20?crop_px=7@none"))
    with pytest.raises(UserError, match=r"has no option 'width'; its options are resize_px, crop_px, interpolation"):
        bare_backbone(BackboneReference.parse("rootstock/cifar_resnet20?width=2@none"))


@pytest.mark.parametrize("depth", [20, 56])
def test_published_weights_fit_and_know_their_classes(depth: int, shared: Path) -> None:
    path = shared / "weights" / f"cifar10_resnet{depth}.pth"
    reference = BackboneReference.parse(f"rootstock/cifar_resnet{depth}@{path}")
    state_dict = load_weights(reference).state_dict
    assert state_dict is not None
    backbone = build_backbone(reference, state_dict, seed=0).eval()
    folder = shared / "datasets" / "cifar10" / "test"
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files = [(path, label) for label, name in enumerate(names) for path in sorted((folder / name).iterdir())[:20]]
    pixels = torch.stack([torch.from_numpy(np.array(Image.open(path).convert("RGB"))) for path, _ in files])
    with torch.no_grad():
        features = backbone(normalise(pixels.permute(0, 3, 1, 2), backbone.preprocess))
        logits = features @ state_dict["linear.weight"].T + state_dict["linear.bias"]
    right = (logits.argmax(1) == torch.tensor([label for _, label in files])).double().mean()
    assert right > 0.7  # 80 % to 84 % of these JPEG files; a tenth by chance
