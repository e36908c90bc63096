"""Evidence of places: it adds up to what the logit gains, and is read where there are enough places."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.heads import linear_head
from transfer.explanation.maps import evidence_of
from transfer.explanation.places import CHANNELS_FIRST, CHANNELS_LAST, TOKENS, TOKENS_LAST, Grid, grid_of


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
    grid = grid_of(nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten()), _images(2, 32))
    assert grid is not None
    assert (grid.layer, grid.side) == ("0", 4)
    too_few = nn.Sequential(nn.Conv2d(3, 6, 16, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert grid_of(too_few, _images(2, 32)) is None
