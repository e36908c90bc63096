"""Maps: they are what the formulas give, they find what decides, and they are found for any trunk without a name."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.heads import linear_head
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import normalise
from transfer.explanation.maps import (
    GRAD_CAM,
    INTEGRATED,
    METHODS,
    OCCLUSION,
    Method,
    maps_of,
    method_named,
    methods_of,
)
from transfer.explanation.nearest import nearest
from transfer.explanation.places import CHANNELS_FIRST, CHANNELS_LAST, TOKENS, Grid, grids_of, run_from
from transfer.heads.forest import fit_forest
from transfer.heads.neighbours import fit_neighbours

N_CLASSES = 3


def _images(n_images: int, side_px: int, seed: int = 0) -> Tensor:
    return torch.randn(n_images, 3, side_px, side_px, generator=torch.Generator().manual_seed(seed))


def _classifier(backbone: Backbone) -> Classifier:
    draw = torch.Generator().manual_seed(1)
    weight = torch.randn(N_CLASSES, backbone.feature_dim, generator=draw)
    return Classifier(backbone, N_CLASSES, linear_head(weight, torch.zeros(N_CLASSES))).eval()


def _built(reference: str) -> Classifier:
    return _classifier(build_backbone(BackboneReference.parse(reference).with_weights("none"), None, seed=0).eval())


def test_grad_cam_is_captums(tiny_backbone: Callable[[], Backbone]) -> None:
    from captum.attr import LayerGradCam

    classifier, images, labels = _classifier(tiny_backbone()), _images(5, 8), torch.tensor([0, 1, 2, 0, 1])
    method = methods_of(classifier, images)[0]
    assert method.name == GRAD_CAM
    assert method.layers[0] == "deep.2"

    def above(batch: Tensor) -> Tensor:
        logits = classifier(batch)
        return logits - logits.mean(1, keepdim=True)

    theirs = LayerGradCam(above, classifier.backbone.trunk.get_submodule("deep")).attribute(images, target=labels)
    ours = maps_of(classifier, Method(GRAD_CAM, method.grids[:1]), images, labels)
    centred = theirs[:, 0] - theirs[:, 0].mean((1, 2), keepdim=True)
    assert torch.allclose(ours, centred.clamp(min=0).detach(), atol=1e-6)


def test_the_features_are_a_function_of_the_grid() -> None:
    trunk, images = _built("rootstock/strokes").backbone.trunk, _images(4, 32)
    grid = _grid(trunk, images)
    features, value = run_from(trunk, grid, images)
    assert torch.allclose(features, trunk(images), atol=1e-6)
    (slope,) = torch.autograd.grad(features.sum(), value)
    assert bool(slope.flatten(1).any(1).all())


def _grid(trunk: nn.Module, images: Tensor) -> Grid:
    return grids_of(trunk, images[:2])[0]


@pytest.mark.parametrize(
    ("reference", "layer", "layout", "side", "n_extra"),
    [
        ("rootstock/strokes", "stage2", CHANNELS_FIRST, 8, 0),  # the first of three depths that it pools
        ("rootstock/cifar_resnet20", "layer3.2", CHANNELS_FIRST, 8, 0),
        ("torchvision/squeezenet1_1?crop_px=128", "features.12", CHANNELS_FIRST, 7, 0),
        ("torchvision/resnet18?crop_px=64", "layer2.1.relu", CHANNELS_FIRST, 8, 0),  # deeper ones have 4 places or 2
        ("torchvision/resnet18?crop_px=32", "layer1.1.relu", CHANNELS_FIRST, 8, 0),
    ],
)
def test_the_deepest_grid_is_found(reference: str, layer: str, layout: str, side: int, n_extra: int) -> None:
    classifier = _built(reference)
    grid = _grid(classifier.backbone.trunk, _images(2, classifier.backbone.preprocess.crop_px))
    assert (grid.layer, grid.layout, grid.side, grid.n_extra) == (layer, layout, side, n_extra)


class _Tokens(nn.Module):
    """A small vision transformer that answers by its class token."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import VisionTransformer

        self.network = VisionTransformer(32, 4, 2, 2, 16, 32, num_classes=2)
        self.network.heads = nn.Identity()  # type: ignore[assignment]

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(images)
        return features


def test_of_tokens_grids_lie_before_and_after_attention() -> None:
    trunk = _Tokens().eval()
    grids = {grid.layer: grid for grid in grids_of(trunk, _images(2, 32))}
    block, embedded = "network.encoder.layers.encoder_layer_0", "network"
    assert list(grids) == [block, "network.encoder.dropout", embedded, "network.conv_proj"]
    grid = grids[embedded]
    assert (grid.layout, grid.made_by, grid.side, grid.n_extra, grid.shape) == (TOKENS, "cat", 8, 1, (65, 16))
    _, value = run_from(trunk, grid, _images(2, 32))
    assert torch.allclose(value[:, 1:].transpose(1, 2).unflatten(2, (8, 8)), trunk.network.conv_proj(_images(2, 32)))


class _ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.mixed = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.mixed(self.patches(images).permute(0, 2, 3, 1)).mean((1, 2))  # type: ignore[no-any-return]


def test_a_grid_may_have_its_channels_last() -> None:
    grid = _grid(_ChannelsLast(), _images(2, 32))
    assert (grid.layer, grid.layout, grid.side) == ("mixed", CHANNELS_LAST, 8)


class _SpreadOut(nn.Module):
    """Pools to a single place and spreads it out again, as a network for large images does with a small one."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.wide, self.last = nn.Conv2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(7), nn.Linear(4 * 49, 5)

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(self.read(images), 1)
        return self.last(self.wide(pooled).flatten(1))  # type: ignore[no-any-return]


def test_a_pooled_value_that_is_spread_out_again_is_no_grid() -> None:
    grid = _grid(_SpreadOut(), _images(2, 32))
    assert (grid.layer, grid.side) == ("read", 16)


class _Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3 * 64, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.line(images.flatten(1))  # type: ignore[no-any-return]


def test_a_trunk_without_places_is_explained_by_occlusion(tiny_backbone: Callable[[], Backbone]) -> None:
    tiny = tiny_backbone()
    classifier = _classifier(Backbone("test/flat", _Flat(), 5, tiny.depth_groups, tiny.preprocess))
    assert [method.name for method in methods_of(classifier, _images(2, 8))] == [OCCLUSION]


def test_heads_that_count_votes_are_explained_by_occlusion(tiny_backbone: Callable[[], Backbone]) -> None:
    draw = torch.Generator().manual_seed(0)
    features, labels = torch.rand(30, 6, generator=draw), torch.arange(30) % N_CLASSES
    for fitted in (fit_neighbours(features, labels, N_CLASSES), fit_forest(features, labels, N_CLASSES, seed=0)):
        classifier = Classifier(tiny_backbone(), N_CLASSES, fitted.head).eval()
        assert [method.name for method in methods_of(classifier, _images(2, 8))] == [OCCLUSION]
        assert method_named(GRAD_CAM, classifier, _images(2, 8)) is None
        assert method_named(INTEGRATED, classifier, _images(2, 8)) is None


def test_occlusion_is_what_covering_each_patch_costs(tiny_backbone: Callable[[], Backbone]) -> None:
    classifier, images, labels = _classifier(tiny_backbone()), _images(2, 8), torch.tensor([0, 2])
    made = maps_of(classifier, Method(OCCLUSION), images, labels)

    def above(batch: Tensor) -> Tensor:
        logits = classifier(batch).detach()
        return (logits - logits.mean(1, keepdim=True)).gather(1, labels[:, None])[:, 0]

    lost = torch.zeros(2, 8, 8)
    for top in range(7):
        for left in range(7):
            hidden = images.clone()
            hidden[:, :, top : top + 2, left : left + 2] = 0
            lost[:, top : top + 2, left : left + 2] += (above(images) - above(hidden)).view(2, 1, 1)
    expected = gaussian_filter(lost.double().numpy(), (0, 0.5, 0.5), mode="nearest")
    assert torch.allclose(made.double(), torch.from_numpy(expected).clamp(min=0), atol=2e-3)


def test_integrated_gradients_of_a_linear_model_are_its_weights_times_the_image(
    tiny_backbone: Callable[[], Backbone],
) -> None:
    tiny, flat = tiny_backbone(), _Flat()
    classifier = _classifier(Backbone("test/flat", flat, 5, tiny.depth_groups, tiny.preprocess))
    image, label = _images(1, 8), torch.tensor([1])
    weights = classifier.head.weight @ flat.line.weight  # type: ignore[operator]
    gains = ((weights[1] - weights.mean(0)).view(3, 8, 8) * image[0]).sum(0).clamp(min=0)
    made = maps_of(classifier, Method(INTEGRATED), image, label)[0]
    expected = gaussian_filter(gains.detach().double().numpy(), 0.5, mode="nearest", truncate=4)
    assert torch.allclose(made.double(), torch.from_numpy(expected), atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_maps_leave_the_classifier_as_it_is(tiny_backbone: Callable[[], Backbone], method: str) -> None:
    classifier = _classifier(tiny_backbone()).train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    found = method_named(method, classifier, _images(2, 8))
    assert found is not None
    made = maps_of(classifier, found, _images(9, 8), torch.zeros(9, dtype=torch.int64))
    assert made.shape == (9, 8, 8)
    assert bool((made >= 0).all())
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert classifier.training
    assert all(parameter.grad is None for parameter in classifier.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_a_logit_added_to_all_changes_no_map(tiny_backbone: Callable[[], Backbone], method: str) -> None:
    classifier, images, labels = _classifier(tiny_backbone()), _images(3, 8), torch.tensor([0, 1, 2])
    found = method_named(method, classifier, images)
    assert found is not None
    before = maps_of(classifier, found, images, labels)
    with torch.no_grad():
        classifier.head.weight += 3 * torch.ones(6)  # type: ignore[operator]
    assert torch.allclose(maps_of(classifier, found, images, labels), before, atol=1e-4)


@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**31))
def test_nearest_rows_are_those_of_brute_force(n_train: int, k: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    features, of_train = torch.randn(4, 5, generator=draw), torch.randn(n_train, 5, generator=draw)
    order, similarity = nearest(features, of_train, k)
    for row, found, values in zip(features, order, similarity, strict=True):
        cosines = torch.cosine_similarity(row.double()[None], of_train.double())
        assert torch.allclose(values, cosines.sort(descending=True).values[:k])
        assert torch.allclose(cosines[found], values)


def test_a_planted_copy_is_the_nearest_row() -> None:
    of_train = _images(10, 2).flatten(1)
    order, similarity = nearest(3 * of_train[7:8], of_train, 2)
    assert int(order[0, 0]) == 7
    assert float(similarity[0, 0]) == pytest.approx(1)


def test_a_pass_that_goes_another_way_is_refused() -> None:
    from transfer.errors import UserError

    grid = _grid(_ChannelsLast(), _images(2, 32))
    with pytest.raises(UserError, match="no layer of it can be found again"):
        run_from(_SpreadOut(), grid, _images(2, 32))
    assert grids_of(_Flat(), _images(2, 8)) == ()


def _with_cues(n_images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return grey noise with a white patch and one of the class's colour; labels; where the colour is."""
    draw = torch.Generator().manual_seed(0)
    images, labels = 128 + 30 * torch.randn(n_images, 1, 32, 32, generator=draw), torch.arange(n_images) % N_CLASSES
    images, cues = images.repeat(1, 3, 1, 1), torch.zeros(n_images, 32, 32, dtype=torch.bool)
    for place, label in enumerate(labels.tolist()):
        top, left, other = torch.randint(24, (3,), generator=draw).tolist()
        images[place, :, other : other + 8, (left + 12) % 24 : (left + 12) % 24 + 8] = 255
        images[place, :, top : top + 8, left : left + 8] = torch.eye(3)[label].mul(255).view(3, 1, 1)
        cues[place, top : top + 8, left : left + 8] = True
    return images.clamp(0, 255).to(torch.uint8), labels, cues


@pytest.fixture
def of_colours(tiny_backbone: Callable[[], Backbone]) -> Classifier:
    """Return a network that answers by how much more of its colour than of the two others there is anywhere."""
    tiny, trunk = tiny_backbone(), nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        trunk[0].weight.copy_((1.5 * torch.eye(3) - 0.5).view(3, 3, 1, 1))
        trunk[0].bias.fill_(-0.2)
    backbone = Backbone("test/colours", trunk, 3, tiny.depth_groups, tiny.preprocess)
    return Classifier(backbone, 3, linear_head(100 * torch.eye(3), torch.zeros(3))).eval()


@pytest.mark.parametrize("name", METHODS)
def test_maps_find_a_planted_cue(of_colours: Classifier, name: str) -> None:
    pixels, labels, cues = _with_cues(60)
    images = normalise(pixels, of_colours.backbone.preprocess)
    assert torch.equal(of_colours(images).argmax(1), labels)
    method = method_named(name, of_colours, images)
    assert method is not None
    peaks = maps_of(of_colours, method, images, labels).flatten(1).argmax(1, keepdim=True)
    assert float(cues.flatten(1).gather(1, peaks).float().mean()) >= 0.9
