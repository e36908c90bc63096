"""Every architecture that can be named: its card, its features, its head and its depth groups."""

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


def _conforms(reference: BackboneReference) -> None:
    """Check every promise of a card against the network, built without weights, and against what is published."""
    backbone, entry = bare_backbone(reference), published_entry(reference)
    provenance = published_provenance(reference)
    card = card_of(backbone, provenance, WeightsFile(hash_prefix=published_file(reference).hash_prefix))
    assert (provenance.missing(), card.preprocess.crop_px) == ((), entry.input_px)
    assert None not in (provenance.training_data, provenance.top1, provenance.recipe)
    side_px = card.preprocess.crop_px
    assert shapes_of(backbone, torch.empty(2, 3, side_px, side_px)).shape == (2, card.feature_dim)
    names = [name for name, _ in (*backbone.trunk.named_parameters(), *backbone.trunk.named_buffers())]
    assert [name for name in names if sum(group.holds(name) for group in backbone.depth_groups) != 1] == []
    assert sum(size for _, size in card.depth_groups) == card.n_parameters
    classifier = Classifier(backbone, 5)
    assert shapes_of(classifier, torch.empty(2, 3, side_px, side_px)).shape == (2, 5)
    _costs_what_is_published(reference, card.n_parameters, card.macs, card.feature_dim)


def _costs_what_is_published(reference: BackboneReference, n_parameters: int, macs: int, width: int) -> None:
    """Compare with torchvision's own figures, which count the final layer and, in two networks, auxiliary heads."""
    entry = published_entry(reference)
    assert entry.n_parameters is not None
    assert entry.macs is not None
    if reference.arch not in ("googlenet", "inception_v3"):
        has_bias = not reference.arch.startswith("maxvit")
        assert n_parameters + 1000 * (width + has_bias) == entry.n_parameters
    head_macs = 1000 * width * (13 * 13 if reference.arch.startswith("squeezenet") else 1)
    assert macs + head_macs == pytest.approx(
        entry.macs, rel=0.03 if not reference.arch.startswith("squeezenet") else 0.5
    )


@pytest.mark.parametrize("arch", SOME)
def test_a_card_is_the_network_and_what_is_published(arch: str) -> None:
    _conforms(BackboneReference("torchvision", arch))


@pytest.mark.slow
@pytest.mark.parametrize("arch", architectures())
def test_every_card_is_the_network_and_what_is_published(arch: str) -> None:
    _conforms(BackboneReference("torchvision", arch))


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
