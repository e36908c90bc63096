"""What a step freezes stays byte-equal in every classification architecture, and what it trains changes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.depth_groups import depth_groups
from transfer.backbones.reference import BackboneReference
from transfer.backbones.torchvision_models import architectures, build_trunk, keywords_of, preprocess_of
from transfer.data.examples import Examples
from transfer.finetuning.budget import Budget
from transfer.finetuning.freezing import group_names, parameter_groups, thaw
from transfer.finetuning.plan import Step
from transfer.finetuning.states import clone_state

Learn = Callable[..., Iterator[Any]]
SIDE_PX = 64
SMALL = ("mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1")
LARGER = (
    "resnet18", "resnext50_32x4d", "densenet121", "googlenet", "inception_v3", "mnasnet0_5", "efficientnet_b0",
    "efficientnet_v2_s", "regnet_y_400mf", "convnext_tiny", "swin_t", "swin_v2_t", "vit_b_16", "maxvit_t", "alexnet",
    "vgg11",
)  # fmt: skip
HUGE = ("regnet_y_128gf", "regnet_y_32gf", "vit_h_14", "vit_l_16", "vit_l_32")
SIDES_PX = {"inception_v3": 96, "vit_b_16": 224, "maxvit_t": 224}
BUDGET = Budget(max_images=12, epochs=3, batch_size=6, weight_decay=0.05, label_smoothing=0.1, patience=None)


def shaded(n_examples: int, side_px: int) -> Examples:
    labels = torch.arange(n_examples) % 2
    noise = torch.randint(0, 128, (n_examples, 3, side_px, side_px), generator=torch.Generator().manual_seed(0))
    return Examples((noise + 120 * labels[:, None, None, None]).to(torch.uint8), labels)


@pytest.mark.parametrize(
    "arch", [pytest.param(arch, marks=pytest.mark.slow) if arch in HUGE else arch for arch in architectures()]
)
def test_every_group_can_be_frozen_and_trained_alone(arch: str) -> None:
    preprocess = preprocess_of(arch, None)
    trunk, feature_dim, _ = build_trunk(arch, keywords_of(arch, {}, preprocess.crop_px), seed=0, empty=True)
    classifier = Classifier(Backbone(arch, trunk, feature_dim, depth_groups(trunk), preprocess), 2)
    for adapts_norms in (False, True):
        for group in classifier.backbone.depth_groups:
            thaw(classifier, (group.name,), adapts_norms=adapts_norms)
            learns = {name for name, value in trunk.named_parameters() if value.requires_grad}
            assert learns == {name for name, _ in trunk.named_parameters() if group.holds(name)} != set()
            awake = {name for name, module in trunk.named_modules() if module.training}
            assert all(group.holds(name) for name in awake)
            adapting = {name for name in awake if getattr(trunk.get_submodule(name), "running_mean", None) is not None}
            assert adapts_norms or not adapting
            listed = [one for part in parameter_groups(classifier, {group.name: 0.1}, 0.0) for one in part["params"]]  # type: ignore[attr-defined]
            assert {id(one) for one in listed} == {id(one) for one in trunk.parameters() if one.requires_grad}
    thaw(classifier, group_names(classifier))
    assert all(value.requires_grad for value in classifier.parameters())


@pytest.mark.parametrize("arch", [*SMALL, *(pytest.param(arch, marks=pytest.mark.slow) for arch in LARGER)])
def test_frozen_bytes_stay_and_trained_ones_change(learn: Learn, arch: str) -> None:
    side_px = SIDES_PX.get(arch, SIDE_PX)
    reference = BackboneReference.parse(f"torchvision/{arch}?crop_px={side_px}@none")
    classifier = Classifier(build_backbone(reference, None, seed=0), 2)
    torch.nn.init.normal_(classifier.head.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    names = group_names(classifier)
    for first in (len(names) - 1, len(names) - 2, len(names) // 2, 0):
        before = clone_state(classifier)
        step = Step(f"from {names[first]}", dict.fromkeys(names[first:], 1e-3), adapts_norms=True)
        list(learn(classifier, shaded(12, side_px), shaded(6, side_px), step, BUDGET, 0))
        frozen = [group for group in classifier.backbone.depth_groups if group.name not in step.rates]
        held = {name for name in before if any(group.holds(_in_trunk(name)) for group in frozen)}
        changed = _changed(before, classifier)
        assert changed.isdisjoint(held)
        assert set(before) - held - changed <= _without_effect(classifier)


def _in_trunk(name: str) -> str:
    return name.removeprefix("backbone.trunk.")


def _changed(before: Mapping[str, Tensor], classifier: Classifier) -> set[str]:
    return {name for name, value in classifier.state_dict().items() if not torch.equal(value, before[name])}


def _without_effect(classifier: Classifier) -> set[str]:
    """Return what training cannot change: constants kept as buffers that are no running statistics."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return {name for name, _ in classifier.named_buffers() if not name.endswith(statistics)}
