"""Backbones from references: the trunk's features are the input of the original's final layer."""

import pytest
import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone, check_backbone, preprocess_of
from transfer.backbones.reference import BackboneReference
from transfer.backbones.torchvision_models import architectures, weights_names, weights_url
from transfer.errors import UserError
from transfer.records import Preprocess

SMALL = {  # architecture -> side of the images it is tried on
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "mnasnet0_5": 32,
    "squeezenet1_1": 32,
    "shufflenet_v2_x0_5": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "efficientnet_b0": 32,
    "densenet121": 32,
    "googlenet": 32,
}
LARGE = {"vgg11": 32, "swin_t": 64, "convnext_tiny": 64, "inception_v3": 96, "maxvit_t": 224, "vit_b_32": 64}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def _build(text: str, state: dict[str, Tensor] | None = None, seed: int = 0) -> Backbone:
    return build_backbone(BackboneReference.parse(text), state, seed=seed, weights_name="a.pth")


def _original(arch: str, side_px: int, n_classes: int) -> nn.Module:
    from torchvision import models

    keywords: dict[str, object] = {"num_classes": n_classes}
    if arch in ("googlenet", "inception_v3"):
        keywords |= {"init_weights": False, "transform_input": True}
    if arch.startswith("vit"):
        keywords["image_size"] = side_px
    if arch.startswith("maxvit"):
        keywords["input_size"] = (side_px, side_px)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        return models.get_model(arch, weights=None, **keywords).eval()


def _check_features(arch: str, side_px: int) -> None:
    """Compare with torchvision's own network, seven classes, through what its final layer is given."""
    original = _original(arch, side_px, 7)
    seen: list[Tensor] = []
    final = [module for module in original.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    final.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, side_px, side_px, generator=torch.Generator().manual_seed(0))
    text = f"torchvision/{arch}?resize_px={side_px}&crop_px={side_px}@a.pth"
    backbone = _build(text, original.state_dict()).eval()
    with torch.inference_mode():
        original(images)
        features = backbone(images)
    expected = seen[-1].mean(dim=(2, 3)) if seen[-1].ndim == 4 else seen[-1]
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert features.shape == (2, backbone.feature_dim)


@pytest.mark.parametrize(("arch", "side_px"), SMALL.items())
def test_features_are_the_input_of_the_final_layer(arch: str, side_px: int) -> None:
    _check_features(arch, side_px)


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "side_px"), LARGE.items())
def test_features_of_larger_networks_are_the_input_of_the_final_layer(arch: str, side_px: int) -> None:
    _check_features(arch, side_px)


def test_every_classification_architecture_is_known() -> None:
    from torchvision import models

    assert set(architectures()) == set(models.list_models(module=models))
    assert not [arch for arch in architectures() if "quantized" in arch]


def test_published_weights_carry_their_hash_in_the_name() -> None:
    names = [weights_url(arch, weights_names(arch)[-1]).rpartition("/")[2] for arch in architectures()]
    assert all(len(name.rpartition("-")[2].partition(".")[0]) >= 8 for name in names)


@pytest.mark.parametrize("arch", ["mnasnet0_5", "mobilenet_v2"])
def test_a_classifier_takes_back_a_plain_state_dict(arch: str) -> None:
    reference = f"torchvision/{arch}?crop_px=32@none"
    giver, taker = (Classifier(_build(reference, seed=seed), 3) for seed in (0, 1))
    plain = {name: value.clone() for name, value in giver.state_dict().items()}
    taker.load_state_dict(plain)
    assert all(torch.equal(value, plain[name]) for name, value in taker.state_dict().items())


def test_random_weights_come_from_the_seed_and_leave_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (_build("torchvision/squeezenet1_1@none", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    weight = "features.0.weight"
    assert torch.equal(first.trunk.state_dict()[weight], again.trunk.state_dict()[weight])
    assert not torch.equal(first.trunk.state_dict()[weight], other.trunk.state_dict()[weight])


@pytest.mark.parametrize("text", ["torchvision/mobilenet_v2?width_mult=0.35@a.pth", "rootstock/strokes@a.pth"])
def test_a_file_without_a_head_fills_the_trunk(text: str) -> None:
    state = _build(text, seed=5).trunk.state_dict()
    built = _build(text, {name: value.clone() for name, value in state.items()})
    assert all(torch.equal(built.trunk.state_dict()[name], value) for name, value in state.items())
    assert all(parameter.requires_grad for parameter in built.parameters())
    assert built.reference == text


def test_a_trunk_shares_no_memory_with_the_weights_it_was_given() -> None:
    state = _build("rootstock/strokes@none").trunk.state_dict()
    built = _build("rootstock/strokes@a.pth", state)
    with torch.no_grad():
        next(built.parameters()).zero_()
    assert next(iter(state.values())).abs().sum() > 0


def test_weights_of_another_width_are_refused_with_the_architecture() -> None:
    state = _build("torchvision/mobilenet_v2?width_mult=0.35@none").trunk.state_dict()
    with pytest.raises(
        UserError, match=r"^a\.pth holds weights of another architecture than torchvision/mobilenet_v2 "
    ):
        _build("torchvision/mobilenet_v2@a.pth", state)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torchvision/mobilenet_v2@a.pth", Preprocess(256, 224, **IMAGENET)),
        ("torchvision/mobilenet_v2@none", Preprocess(256, 224, **IMAGENET)),
        ("torchvision/mobilenet_v2@IMAGENET1K_V2", Preprocess(232, 224, **IMAGENET)),
        ("torchvision/mobilenet_v2", Preprocess(232, 224, **IMAGENET)),
        ("torchvision/inception_v3@a.pth", Preprocess(342, 299, **IMAGENET)),
        ("torchvision/vit_b_16@IMAGENET1K_SWAG_E2E_V1", Preprocess(384, 384, **IMAGENET, interpolation="bicubic")),
        ("torchvision/vit_b_16", Preprocess(256, 224, **IMAGENET)),
        ("torchvision/efficientnet_b0@a.pth", Preprocess(256, 224, **IMAGENET, interpolation="bicubic")),
        ("torchvision/efficientnet_b0?crop_px=64", Preprocess(64, 64, **IMAGENET, interpolation="bicubic")),
        ("torchvision/swin_t?interpolation=bilinear", Preprocess(232, 224, **IMAGENET)),
        ("torchvision/mobilenet_v2?resize_px=96&crop_px=64@a.pth", Preprocess(96, 64, **IMAGENET)),
        ("torchvision/mobilenet_v2?crop_px=64@a.pth", Preprocess(64, 64, **IMAGENET)),
        ("torchvision/mobilenet_v2?resize_px=64@a.pth", Preprocess(64, 64, **IMAGENET)),
        ("rootstock/strokes", Preprocess(32, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))),
        ("rootstock/strokes?crop_px=64", Preprocess(64, 64, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))),
        (
            "rootstock/strokes?interpolation=lanczos",
            Preprocess(32, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "lanczos"),
        ),
    ],
)
def test_preprocessing_follows_the_weights_and_the_options(text: str, expected: Preprocess) -> None:
    assert preprocess_of(BackboneReference.parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("torchvision/mobilnet_v2", r"no classification architecture 'mobilnet_v2'; did you mean mobilenet_v2"),
        ("torchvision/xyzzy", r"no classification architecture 'xyzzy'; it has alexnet, .*vit_b_16"),
        ("torchvision/fcn_resnet50", r"no classification architecture 'fcn_resnet50'"),
        ("rootstock/stroke", r"rootstock has no architecture 'stroke'; it has strokes, cifar_resnet20"),
        ("rootstock/strokes?width=3", r"no option 'width'; its options are resize_px, crop_px, interpolation"),
        ("rootstock/strokes?crop_px=8", r"cannot run on images of 8 px; make crop_px at least 16"),
        ("torchvision/mobilenet_v2@IMAGENET1K_V9", r"no weights 'IMAGENET1K_V9'; it has DEFAULT, IMAGENET1K_V1,"),
        (
            "torchvision/mobilenet_v2?num_classes=7@none",
            r"no option 'num_classes'; its options are resize_px, crop_px, interpolation, width_mult, round_nearest, ",
        ),
        ("torchvision/resnet18?norm_layer=x@none", r"no option 'norm_layer'; its options are .*zero_init_residual"),
        ("torchvision/mobilenet_v2?width_mult=wide@none", r"width_mult=wide: the value must be a number"),
        ("torchvision/mobilenet_v2?width_mult=nan@none", r"width_mult=nan: the value must be a number"),
        ("torchvision/mobilenet_v2?round_nearest=1.5@none", r"round_nearest=1.5: the value must be a whole number"),
        ("torchvision/resnet18?zero_init_residual=1@none", r"zero_init_residual=1: the value must be true or false"),
        ("torchvision/densenet121?growth_rate=8@none", r"cannot be built with these options .*growth_rate"),
        ("torchvision/mobilenet_v2?width_mult=-1@none", r"width_mult=-1: the value must be a number, 0 or more"),
        ("torchvision/mobilenet_v2?width_mult=100@none", r"has .* billion parameters, at most 2 are allowed"),
        ("torchvision/mobilenet_v2?crop_px=0@none", r"crop_px is '0', but must be a whole number from 1 to 4096"),
        ("torchvision/mobilenet_v2?crop_px=9999@none", r"crop_px is '9999', but must be a whole number from 1 to"),
        ("torchvision/mobilenet_v2?resize_px=32&crop_px=64@none", r"crop_px 64 is larger than resize_px 32"),
        ("torchvision/inception_v3?crop_px=32@none", r"cannot run on images of 32 px .*; change crop_px"),
        ("torchvision/vgg11?crop_px=16@none", r"cannot run on images of 16 px"),
        ("torchvision/vit_b_16?crop_px=100@none", r"cannot be built with these options .*"),
        (
            "rootstock/strokes?interpolation=nearest",
            r"is 'nearest', but must be bilinear or bicubic or lanczos; change",
        ),
    ],
)
def test_what_cannot_be_built_is_named_with_the_remedy(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _build(text)
    with pytest.raises(UserError, match=sentence):
        check_backbone(BackboneReference.parse(text), None)


def test_weights_of_every_published_network_have_the_interpolation_that_torchvision_documents() -> None:
    from torchvision import models

    for arch in architectures():
        for entry in models.get_model_weights(arch):
            found = preprocess_of(BackboneReference.parse(f"torchvision/{arch}@{entry.name}")).interpolation
            assert found == entry.transforms().interpolation.value


@pytest.mark.parametrize("text", ["rootstock/strokes", "torchvision/mobilenet_v2?width_mult=0.35@none"])
def test_a_check_finds_what_building_would_find_in_the_weights(text: str) -> None:
    reference, state = BackboneReference.parse(text), _build(text).trunk.state_dict()
    check_backbone(reference, state)
    name = next(iter(state))
    for spoiled in ({name: state[name]}, state | {name: state[name][:1]}, state | {name: state[name] * torch.nan}):
        for refuse in (lambda: check_backbone(reference, spoiled), lambda: _build(text, spoiled)):  # noqa: B023
            with pytest.raises(UserError):
                refuse()


@pytest.mark.parametrize("option", ["width_mult=0.35", "round_nearest=16"])
def test_options_that_published_weights_do_not_have_are_found_without_the_weights(option: str) -> None:
    text = f"torchvision/mobilenet_v2?{option}"
    with pytest.raises(
        UserError,
        match=r"^The published file of torchvision/mobilenet_v2 holds weights of another architecture than",
    ):
        check_backbone(BackboneReference.parse(text), None)
    check_backbone(BackboneReference.parse(f"{text}@none"), None)
    check_backbone(BackboneReference.parse("torchvision/mobilenet_v2?crop_px=96&dropout=0.5"), None)


def test_options_change_the_network() -> None:
    wide, narrow = (_build(f"torchvision/mobilenet_v2{option}@none") for option in ("", "?width_mult=0.35"))
    assert narrow.n_parameters() == 396_128
    assert wide.n_parameters() == 2_223_872
    assert (wide.feature_dim, narrow.feature_dim) == (1280, 1280)


def test_a_classifier_starts_with_a_head_that_prefers_no_class() -> None:
    classifier = Classifier(_build("rootstock/strokes@none"), 5).eval()
    logits = classifier(torch.rand(2, 3, 32, 32))
    assert torch.equal(logits, torch.zeros(2, 5))
