"""The head that weights came with: the whole network's own logits for the target's classes, where it knows them all."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import models

from adapters.image_files import load_examples
from adapters.json_files import sha256_of
from transfer.backbones.build import build_backbone
from transfer.backbones.features import extract_features
from transfer.backbones.reference import BackboneReference
from transfer.backbones.source_head import matched, source_head
from transfer.records import Row

NAMES = ("tench", "bee", "ant", "crane bird", "crane", "hot dog", "bus", "berry", "hot-air balloon")


@pytest.mark.parametrize(
    ("classes", "places"),
    [
        (("ants", "bees"), (2, 1)),
        (("Bee", "ANT"), (1, 2)),
        (("buses", "berries"), (6, 7)),
        (("hot_air_balloon", "crane"), (8, 4)),
        (("dog", "bee"), None),  # a hot dog is none
        (("ant", "ants"), None),
        (("ant", "wasp"), None),
    ],
)
def test_a_class_has_the_name_that_is_the_same_and_no_similar_one(
    classes: tuple[str, ...], places: tuple[int, ...] | None
) -> None:
    assert matched(classes, NAMES) == places


def test_a_name_that_the_source_has_twice_is_nobodys() -> None:
    assert matched(("maillot", "bee"), (*NAMES, "maillot", "Maillot")) is None


@given(st.permutations(NAMES))
def test_names_are_found_wherever_they_stand(order: list[str]) -> None:
    assert matched(NAMES, order) == tuple(order.index(name) for name in NAMES)


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v3_small", "vgg11", "vit_b_32"])
def test_its_logits_are_those_of_the_whole_network(arch: str) -> None:
    size = 224 if arch.startswith("vit") else 64
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        whole = models.get_model(arch, weights=None).eval()
    reference = BackboneReference.parse(f"torchvision/{arch}?crop_px={size}@weights.pth")
    found = source_head(reference, whole.state_dict(), ("bees", "ants"))
    assert found is not None
    head, names = found
    backbone = build_backbone(reference, whole.state_dict(), seed=0)
    images = torch.randn((2, 3, size, size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, own = whole(images)[:, [309, 310]], head(backbone.trunk.eval()(images))
    assert names == ("bee", "ant")
    assert torch.allclose(own, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("reference", "classes"),
    [
        ("torchvision/resnet18@weights.pth", ("ant", "wasp")),
        ("torchvision/squeezenet1_1@weights.pth", ("ant", "bee")),  # classifies with a convolution before it pools
    ],
)
def test_where_it_does_not_know_the_classes_there_is_none(reference: str, classes: tuple[str, ...]) -> None:
    parsed = BackboneReference.parse(reference)
    state = models.get_model(parsed.arch, weights=None).state_dict()
    assert source_head(parsed, state, classes) is None


def test_a_head_of_another_width_has_no_names() -> None:
    state = models.get_model("resnet18", weights=None, num_classes=7).state_dict()
    assert source_head(BackboneReference.parse("torchvision/resnet18@weights.pth"), state, ("ant", "bee")) is None
    assert source_head(BackboneReference.parse("rootstock/strokes"), {}, ("ant", "bee")) is None


def test_real_weights_tell_ants_from_bees_as_they_come(shared: Path) -> None:
    state = torch.load(shared / "weights/mobilenet_v2_imagenet.pth", weights_only=True)
    reference = BackboneReference.parse("torchvision/mobilenet_v2@weights.pth")
    found = source_head(reference, state, ("ants", "bees"))
    assert found is not None
    backbone = build_backbone(reference, state, seed=0)
    files = sorted((shared / "datasets/hymenoptera/val").glob("*/*.jpg"))[::3]
    rows = [
        Row(str(file.relative_to(shared)), int(file.parent.name == "bees"), "val", sha256_of(file)) for file in files
    ]
    pixels = torch.cat(list(load_examples(shared, rows, backbone.preprocess, lambda _: None))).permute(0, 3, 1, 2)
    with torch.no_grad():
        answers = found[0](extract_features(backbone, pixels)).argmax(1)
    accuracy = float((answers == torch.tensor([row.label for row in rows])).double().mean())
    assert accuracy > 0.85
