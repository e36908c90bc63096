"""timm's architectures as trunks, where timm is installed; one sentence where it is not."""

import importlib.util
import sys
import warnings
from collections.abc import Iterator

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.backbone_card import WeightsFile, card_of
from transfer.backbones.boundary import cut
from transfer.backbones.build import bare_backbone, build_backbone, check_backbone
from transfer.backbones.catalogue import other_references, timm_entries
from transfer.backbones.digests import digest_of
from transfer.backbones.operations import shapes_of
from transfer.backbones.provenance import published_provenance
from transfer.backbones.published import published_file
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError
from transfer.finetuning.freezing import thaw

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="the extra timm is not installed (pip install -e '.[timm]')"
)
FAMILIES = (
    "resnet18", "resnest14d", "res2net50_26w_4s", "regnety_002", "densenet121", "inception_v3", "efficientnet_b0",
    "mobilenetv3_small_050", "mobilenetv4_conv_small", "convnext_atto", "nasnetalarge", "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224", "beit_base_patch16_224", "swin_tiny_patch4_window7_224", "mixer_b16_224",
)  # fmt: skip
FIGURES = {
    "resnet18": (11_176_512, 1.81e9),
    "vit_tiny_patch16_224": (5_524_416, 1.26e9),
    "densenet121": (6_953_856, 2.83e9),
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Leave what timm warns about in its own modules out of this."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="timm")
        yield


def _parsed(text: str) -> BackboneReference:
    return BackboneReference.parse(text)


def _order(backbone: Backbone, side_px: int) -> list[int]:
    """Return the depth group of every layer in the order they run."""
    order: list[int] = []
    for name, module in backbone.trunk.named_modules():
        if not list(module.children()) and list(module.parameters()):
            place = next(at for at, group in enumerate(backbone.depth_groups) if group.holds(name))
            module.register_forward_pre_hook(lambda _, __, place=place: order.append(place))
    shapes_of(backbone, torch.empty(1, 3, side_px, side_px))
    return order


@needs_timm
@pytest.mark.parametrize(
    "arch", [pytest.param(arch, marks=pytest.mark.slow) if arch == "nasnetalarge" else arch for arch in FAMILIES]
)
def test_a_family_conforms(arch: str) -> None:
    reference = _parsed(f"timm/{arch}")
    backbone = bare_backbone(reference)
    card = card_of(backbone, published_provenance(reference), WeightsFile())
    side_px = card.preprocess.crop_px
    assert shapes_of(backbone, torch.empty(2, 3, side_px, side_px)).shape == (2, card.feature_dim)
    assert shapes_of(Classifier(backbone, 5), torch.empty(2, 3, side_px, side_px)).shape == (2, 5)
    names = [name for name, _ in (*backbone.trunk.named_parameters(), *backbone.trunk.named_buffers())]
    assert [name for name in names if sum(group.holds(name) for group in backbone.depth_groups) != 1] == []
    assert 4 <= len(backbone.depth_groups) <= 6
    order = _order(backbone, side_px)
    assert order == sorted(order)
    assert set(order) == set(range(len(backbone.depth_groups)))
    assert card.provenance.origin is not None
    if arch in FIGURES:
        assert card.n_parameters == FIGURES[arch][0]
        assert card.macs == pytest.approx(FIGURES[arch][1], rel=0.02)


@needs_timm
@pytest.mark.parametrize(
    "arch", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_weights_with_any_head_fill_the_trunk_and_give_the_same_features(arch: str) -> None:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        whole = timm.create_model(arch, pretrained=False, num_classes=7).eval()
    reference = _parsed(f"timm/{arch}@mine.pth")
    check_backbone(reference, whole.state_dict())
    backbone = build_backbone(reference, whole.state_dict(), seed=0).eval()
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(whole.get_classifier()(backbone(images)), whole(images))


@needs_timm
def test_weights_of_another_architecture_are_refused() -> None:
    other = build_backbone(_parsed("timm/mobilenetv3_small_050@none"), None, seed=0).trunk.state_dict()
    with pytest.raises(UserError, match=r"^w\.pth holds weights of another architecture than timm/resnet18"):
        build_backbone(_parsed("timm/resnet18@w.pth"), other, seed=0, weights_name="w.pth")


@needs_timm
def test_random_weights_follow_the_seed_and_leave_the_global_state() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build_backbone(_parsed("timm/resnet18@none"), None, seed=seed) for seed in (0, 0, 1))
    bare_backbone(_parsed("timm/resnet18"))
    assert digest_of(first) == digest_of(again) != digest_of(other)
    assert torch.equal(before, torch.random.get_rng_state())


@needs_timm
@pytest.mark.parametrize("arch", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"])
def test_a_frozen_part_is_cut_off_or_the_trunk_runs_whole(arch: str) -> None:
    classifier = Classifier(build_backbone(_parsed(f"timm/{arch}@none"), None, seed=0), 2)
    thaw(classifier, (classifier.backbone.depth_groups[-1].name, "head"))
    boundary = cut(classifier.backbone)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = classifier.backbone(images)
        parts = whole if boundary is None else boundary.suffix(boundary.prefix(images))
    assert torch.allclose(parts, whole, atol=1e-5)  # the suffix has another layout in memory, and sums in another order


@needs_timm
def test_a_file_is_told_from_a_tag_and_found_on_the_hub() -> None:
    tagged = _parsed("timm/resnet50@a1_in1k")
    assert (tagged.is_published, tagged.weights_file) == (True, None)
    file = published_file(tagged)
    assert file.url == "https://huggingface.co/timm/resnet50.a1_in1k/resolve/main/model.safetensors"
    assert (file.name, file.hash_prefix) == ("timm--resnet50.a1_in1k--model.safetensors", None)
    assert _parsed("timm/resnet50@./a1_in1k").weights_file == "./a1_in1k"
    assert "timm/resnet50@ram_in1k" in {str(other) for other in other_references(tagged)}


@needs_timm
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("timm/resnet17", "timm has no architecture 'resnet17'; did you mean"),
        ("timm/resnet50@zork", "has no weights 'zork'; it has a1_in1k, "),
        ("timm/resnet50.a1_in1k", "write timm/resnet50@a1_in1k"),
        ("timm/resnet18?width=2", "has no option 'width'; its options are resize_px, crop_px, interpolation"),
    ],
)
def test_what_timm_does_not_have_is_named(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        bare_backbone(_parsed(text))


@needs_timm
def test_preprocessing_and_licence_are_those_of_the_tag() -> None:
    plain = bare_backbone(_parsed("timm/vit_base_patch16_224@augreg_in21k_ft_in1k"))
    assert (plain.preprocess.mean, plain.preprocess.interpolation) == ((0.5, 0.5, 0.5), "bicubic")
    assert published_provenance(_parsed("timm/convnextv2_atto@fcmae_ft_in1k")).licence == "cc-by-nc-4.0"
    assert published_provenance(_parsed("timm/res2net50_26w_4s")).missing() == ("licence",)  # timm states none
    assert [entry.reference for entry in timm_entries("timm/nasnetalarge")] == ["timm/nasnetalarge"]


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"need the package timm, which is not installed; .* install -e '\.\[timm\]'"):
        bare_backbone(_parsed("timm/resnet18"))
