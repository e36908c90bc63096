"""Evidence of places: it adds up to what the logit gains, and is read where there are enough places."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.heads import linear_head
from transfer.data.batches import normalise
from transfer.explanation.maps import GRAD_CAM, Method, evidence_of, maps_of, method_named
from transfer.explanation.places import CHANNELS_FIRST, CHANNELS_LAST, TOKENS, TOKENS_LAST, Grid, grids_of


def _images(n_images: int, side_px: int) -> Tensor:
    return torch.randn(n_images, 3, side_px, side_px, generator=torch.Generator().manual_seed(0))


class _Bent(nn.Module):
    """A network whose features bend with what its places hold, so that no derivative at one point is enough."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self.places, self.wide, self.line = nn.Conv2d(3, 5, 4, 4), nn.Conv2d(5, 6, 3), nn.Linear(6 * 36, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.line(torch.tanh(2 * self.wide(self.places(images))).flatten(1)).sigmoid()  # type: ignore[no-any-return]


def test_evidence_adds_up_to_what_the_logit_gains(tiny_backbone: Callable[[], Backbone]) -> None:
    tiny, trunk = tiny_backbone(), _Bent()
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    backbone = Backbone("test/bent", trunk, 4, tiny.depth_groups, tiny.preprocess)
    classifier = Classifier(backbone, 3, linear_head(weight, torch.zeros(3))).eval()
    images, labels = _images(6, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    grid = Grid(0, "conv2d", CHANNELS_FIRST, 8, 0, "places", (5, 8, 8))
    with torch.no_grad():
        held = trunk.places(images)
        plain = held.mean((2, 3), keepdim=True).expand_as(held)
        features = [trunk.line(torch.tanh(2 * trunk.wide(one)).flatten(1)).sigmoid() for one in (held, plain)]
        full, empty = (classifier.head(one) for one in features)
        gained = (full - full.mean(1, keepdim=True)) - (empty - empty.mean(1, keepdim=True))
    found = evidence_of(grid, classifier, images, labels).sum((1, 2))
    assert torch.allclose(found, gained.gather(1, labels[:, None])[:, 0], atol=1e-4)


@pytest.mark.parametrize("layout", [CHANNELS_FIRST, CHANNELS_LAST, TOKENS, TOKENS_LAST])
def test_a_share_of_nothing_leaves_every_place_the_mean(layout: str) -> None:
    held = torch.randn(2, 5, 9, 9, generator=torch.Generator().manual_seed(0))
    extra = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(1))
    tokens = torch.cat((extra, held.flatten(2)), 2)
    value = {CHANNELS_FIRST: held, CHANNELS_LAST: held.permute(0, 2, 3, 1), TOKENS_LAST: tokens}.get(
        layout, tokens.transpose(1, 2)
    )
    grid = Grid(0, "", layout, 9, 2, "", tuple(value.shape[1:]))
    left = value - grid.above_mean(value)
    assert torch.allclose(grid.by_place(left), held.mean((2, 3), keepdim=True).expand_as(held), atol=1e-6)
    if layout == TOKENS:
        assert torch.equal(left[:, :2], value[:, :2])


def test_a_grid_of_four_places_is_read_where_there_is_no_finer_one() -> None:
    (grid,) = grids_of(nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten()), _images(2, 32))
    assert (grid.layer, grid.side) == ("0", 4)
    too_few = nn.Sequential(nn.Conv2d(3, 6, 16, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert grids_of(too_few, _images(2, 32)) == ()


def test_depths_are_spread_from_the_first_to_the_deepest() -> None:
    chain = nn.Sequential(nn.Conv2d(3, 4, 4, 4), *(nn.Conv2d(4, 4, 1) for _ in range(12)), nn.Flatten())
    assert [grid.layer for grid in grids_of(chain, _images(2, 32))] == ["12", "9", "6", "3", "0"]


def test_only_the_coarsest_depths_of_enough_places_are_read() -> None:
    halving = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1))
    found = grids_of(nn.Sequential(halving, nn.Flatten()), _images(2, 32))
    assert [(grid.layer, grid.side) for grid in found] == [("0.2", 8), ("0.1", 8)]  # 16 and 4 places a side are not


@pytest.fixture
def moving(tiny_backbone: Callable[[], Backbone]) -> Classifier:
    """Return a network that answers by colours, of which the last grid has what a place holds three places away."""
    colours, moved = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 7, padding=3, padding_mode="circular", groups=3, bias=False)
    with torch.no_grad():
        colours.weight.copy_((1.5 * torch.eye(3) - 0.5).view(3, 3, 1, 1))
        colours.bias.fill_(-0.2)
        moved.weight.zero_()
        moved.weight[:, :, 0, 0] = 1
    trunk = nn.Sequential(nn.AvgPool2d(4), colours, nn.ReLU(), moved, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    tiny = tiny_backbone()
    backbone = Backbone("test/moving", trunk, 3, tiny.depth_groups, tiny.preprocess)
    return Classifier(backbone, 3, linear_head(100 * torch.eye(3), torch.zeros(3))).eval()


def test_a_depth_that_has_moved_places_is_outvoted(moving: Classifier) -> None:
    draw, labels = torch.Generator().manual_seed(0), torch.arange(60) % 3
    pixels, cues = torch.full((60, 3, 32, 32), 100, dtype=torch.uint8), torch.zeros(60, 32, 32, dtype=torch.bool)
    for place, label in enumerate(labels.tolist()):
        top, left = torch.randint(24, (2,), generator=draw).tolist()
        pixels[place, :, top : top + 8, left : left + 8] = torch.eye(3)[label].mul(255).view(3, 1, 1)
        cues[place, top : top + 8, left : left + 8] = True
    images = normalise(pixels, moving.backbone.preprocess)
    assert torch.equal(moving(images).argmax(1), labels)
    method = method_named(GRAD_CAM, moving, images)
    assert method is not None
    assert method.layers == ["3", "2", "1", "0"]

    def found(method: Method) -> float:
        peaks = maps_of(moving, method, images, labels).flatten(1).argmax(1, keepdim=True)
        return float(cues.flatten(1).gather(1, peaks).double().mean())

    assert found(Method(GRAD_CAM, method.grids[:1])) < 0.1
    assert found(method) >= 0.9


def test_a_map_is_the_mean_over_depths(tiny_backbone: Callable[[], Backbone]) -> None:
    head = linear_head(torch.randn(3, 6, generator=torch.Generator().manual_seed(1)), torch.zeros(3))
    classifier, images, labels = Classifier(tiny_backbone(), 3, head).eval(), _images(4, 8), torch.tensor([0, 1, 2, 0])
    method = method_named(GRAD_CAM, classifier, images)
    assert method is not None
    assert method.layers == ["deep.2", "deep.0", "middle.1", "stem.2", "stem.0"]
    of_each = [evidence_of(grid, classifier, images, labels) for grid in method.grids]  # as large as the images
    expected = (sum(of_each[1:], of_each[0]) / 5).clamp(min=0)
    assert torch.allclose(maps_of(classifier, method, images, labels), expected, atol=1e-5)
