"""Features of a frozen backbone: the same however they are batched, and nothing of the backbone changes."""

from collections.abc import Callable

import pytest
import torch

from transfer.backbones.backbone import Backbone
from transfer.backbones.features import extract_features
from transfer.data.batches import normalise


def _examples(n_examples: int) -> torch.Tensor:
    made = torch.randint(0, 256, (n_examples, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    return made.to(torch.uint8)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_batches_do_not_change_the_features(tiny_backbone: Callable[[], Backbone], batch_size: int) -> None:
    backbone, examples, counted = tiny_backbone(), _examples(7), []
    features = extract_features(backbone, examples, batch_size, counted.append)
    with torch.no_grad():
        expected = backbone.eval()(normalise(examples, backbone.preprocess))
    assert features.shape == (7, backbone.feature_dim)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-6)
    assert sum(counted) == 7
    assert max(counted) <= batch_size


def test_twice_is_the_same_to_the_bit(tiny_backbone: Callable[[], Backbone]) -> None:
    backbone = tiny_backbone()
    assert torch.equal(extract_features(backbone, _examples(9), 4), extract_features(backbone, _examples(9), 4))


def test_the_backbone_is_left_as_it_was(tiny_backbone: Callable[[], Backbone]) -> None:
    backbone = tiny_backbone().train()
    next(iter(backbone.trunk.children())).eval()
    modes = [module.training for module in backbone.modules()]
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    extract_features(backbone, _examples(5))
    assert [module.training for module in backbone.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())


def test_the_features_can_be_trained_on(tiny_backbone: Callable[[], Backbone]) -> None:
    backbone = tiny_backbone()
    head = torch.nn.Linear(backbone.feature_dim, 2)
    head(extract_features(backbone, _examples(4))).sum().backward()
    assert head.weight.grad is not None


def test_no_examples_give_no_features(tiny_backbone: Callable[[], Backbone]) -> None:
    backbone = tiny_backbone()
    assert extract_features(backbone, _examples(0)).shape == (0, backbone.feature_dim)
