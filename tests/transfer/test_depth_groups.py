"""Depth groups: every parameter and buffer of every trunk in exactly one group, groups in the order they run."""

import pytest
import torch
from torch import Tensor, nn

from transfer.backbones.backbone import DepthGroup
from transfer.backbones.depth_groups import depth_groups
from transfer.backbones.torchvision_models import architectures, build_trunk, keywords_of, preprocess_of

# One of each family, and every member whose groups come about in a way of their own.
REPRESENTATIVES = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vgg16_bn",
    "vit_b_32",
)


def _trunk(arch: str) -> tuple[nn.Module, int, int]:
    """Return a trunk without weights, its feature width and the side of its images."""
    side_px = preprocess_of(arch, None).crop_px
    trunk, feature_dim, _ = build_trunk(arch, keywords_of(arch, {}, side_px), seed=0, empty=True)
    return trunk.to("meta").eval(), feature_dim, side_px


def _run_order(trunk: nn.Module, groups: tuple[DepthGroup, ...], side_px: int) -> tuple[list[int], Tensor]:
    """Return the group of every layer with parameters in the order they run, and the features."""
    order: list[int] = []
    for name, module in trunk.named_modules():
        if not list(module.children()) and list(module.parameters()):
            place = next(place for place, group in enumerate(groups) if group.holds(name))
            module.register_forward_pre_hook(lambda _, __, place=place: order.append(place))
    return order, trunk(torch.empty(2, 3, side_px, side_px, device="meta"))


def _check(arch: str) -> None:
    trunk, feature_dim, side_px = _trunk(arch)
    groups = depth_groups(trunk)
    assert 4 <= len(groups) <= 6
    assert len({group.name for group in groups}) == len(groups)
    for name in trunk.state_dict():
        assert sum(group.holds(name) for group in groups) == 1, name
    for group in groups:
        kernels = [value for name, value in trunk.named_parameters() if group.holds(name) and value.ndim > 1]
        assert kernels, f"{group.name} has nothing but norm layers"
    order, features = _run_order(trunk, groups, side_px)
    assert features.shape == (2, feature_dim)
    assert order == sorted(order)
    assert set(order) == set(range(len(groups)))


@pytest.mark.parametrize("arch", REPRESENTATIVES)
def test_a_trunk_is_cut_into_groups_in_the_order_they_run(arch: str) -> None:
    _check(arch)


@pytest.mark.slow
def test_every_trunk_is_cut_into_groups_in_the_order_they_run() -> None:
    for arch in architectures():
        _check(arch)


def test_every_family_is_represented() -> None:
    families = {arch.rstrip("0123456789").split("_")[0].rstrip("0123456789") for arch in architectures()}
    covered = {arch.rstrip("0123456789").split("_")[0].rstrip("0123456789") for arch in REPRESENTATIVES}
    assert families - covered == {"resnext", "wide"}  # both are built by the class ResNet, as resnet18 is


@pytest.mark.parametrize(
    ("arch", "names"),
    [
        ("resnet18", ["conv1-bn1", "layer1", "layer2", "layer3", "layer4"]),
        ("mobilenet_v2", ["0-2", "3-5", "6-8", "9-11", "12-14", "15-18"]),
        ("swin_t", ["0", "1", "2-3", "4-5", "6-norm"]),
    ],
)
def test_groups_are_the_stages_a_person_would_name(arch: str, names: list[str]) -> None:
    assert [group.name.removeprefix("features.") for group in depth_groups(_trunk(arch)[0])] == names


@pytest.mark.parametrize("arch", ["vgg11", "alexnet"])
def test_hidden_dense_layers_belong_to_the_last_group(arch: str) -> None:
    trunk = _trunk(arch)[0]
    last = depth_groups(trunk)[-1]
    dense = [name for name, module in trunk.named_modules() if isinstance(module, nn.Linear)]
    assert len(dense) == 2
    assert all(last.holds(name) for name in dense)


def test_a_parameter_outside_every_module_goes_to_the_first_group() -> None:
    groups = depth_groups(_trunk("vit_b_32")[0])
    for name in ("class_token", "encoder.pos_embedding"):
        assert groups[0].holds(name)


def test_a_prefix_holds_whole_names_only() -> None:
    group = DepthGroup("first", ("layer1",))
    assert group.holds("layer1")
    assert group.holds("layer1.0.conv1.weight")
    assert not group.holds("layer10.weight")
