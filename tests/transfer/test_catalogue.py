"""Every architecture that can be named: its card, its features, its head and its depth groups."""

from typing import Any

import pytest
import torch
from torch import nn

from transfer.backbones.backbone import Classifier
from transfer.backbones.backbone_card import WeightsFile, card_of
from transfer.backbones.build import bare_backbone
from transfer.backbones.catalogue import other_references, published_entries, published_entry
from transfer.backbones.operations import shapes_of
from transfer.backbones.provenance import RANDOM, published_provenance
from transfer.backbones.published import published_file
from transfer.backbones.reference import BackboneReference
from transfer.backbones.torchvision_models import AUXILIARY_HEADS, architectures

SOME = ("alexnet", "convnext_tiny", "densenet121", "googlenet", "mobilenet_v3_small", "regnet_y_400mf", "squeezenet1_1")


def _marked(arch: str) -> Any:
    return pytest.param(arch, marks=() if arch in SOME else pytest.mark.slow)


@pytest.mark.parametrize("arch", [_marked(arch) for arch in architectures()])
def test_a_card_is_the_network_and_what_is_published(arch: str) -> None:
    reference = BackboneReference("torchvision", arch)
    backbone, entry, provenance = bare_backbone(reference), published_entry(reference), published_provenance(reference)
    card = card_of(backbone, provenance, WeightsFile(hash_prefix=published_file(reference).hash_prefix))
    assert (provenance.missing(), card.preprocess.crop_px) == ((), entry.input_px)
    assert None not in (provenance.training_data, provenance.top1, provenance.recipe)
    side_px = card.preprocess.crop_px
    assert shapes_of(backbone, torch.empty(2, 3, side_px, side_px)).shape == (2, card.feature_dim)
    assert shapes_of(Classifier(backbone, 5), torch.empty(2, 3, side_px, side_px)).shape == (2, 5)
    names = [name for name, _ in (*backbone.trunk.named_parameters(), *backbone.trunk.named_buffers())]
    assert [name for name in names if sum(group.holds(name) for group in backbone.depth_groups) != 1] == []
    assert sum(size for _, size in card.depth_groups) == card.n_parameters
    if arch not in ("googlenet", "inception_v3"):  # torchvision counts their auxiliary heads
        has_bias = not arch.startswith("maxvit")
        assert card.n_parameters + 1000 * (card.feature_dim + has_bias) == entry.n_parameters
    head_size, closeness = (13 * 13, 0.5) if arch.startswith("squeezenet") else (1, 0.03)  # its head is a convolution
    assert card.macs + 1000 * card.feature_dim * head_size == pytest.approx(entry.macs, rel=closeness)


def test_every_architecture_of_torchvision_is_listed_complete() -> None:
    entries = {entry.reference: entry for entry in published_entries()}
    assert len(entries) == len(architectures()) >= 80
    assert [
        entry for entry in entries.values() if None in (entry.n_parameters, entry.macs, entry.top1, entry.licence)
    ] == []
    resnet = entries["torchvision/resnet18"]  # of the paper: 11.7 million parameters, 1.8 billion multiply-adds
    assert (resnet.n_parameters, resnet.input_px, resnet.top1) == (11_689_512, 224, 69.758)
    assert resnet.macs == pytest.approx(1.8e9, rel=0.02)


def test_weights_for_non_commercial_use_say_so() -> None:
    swag, plain = set(), set()
    for arch in architectures():
        for reference in other_references(BackboneReference("torchvision", arch)):
            known = published_provenance(reference)
            (swag if known.licence == "CC-BY-NC-4.0" else plain).add(str(reference))
            assert "non-commercial" in str(known.training_data)
    assert {text for text in swag | plain if "SWAG" in text} == swag
    assert len(swag) == 12


def test_random_weights_need_no_licence() -> None:
    assert RANDOM.missing() == ()


@pytest.mark.parametrize("arch", ["googlenet", "inception_v3"])
def test_auxiliary_heads_are_no_part_of_a_trunk(arch: str) -> None:
    children = dict(bare_backbone(BackboneReference("torchvision", arch)).trunk.named_children())
    assert not any(isinstance(children.get(name), nn.Module) for name in AUXILIARY_HEADS)
