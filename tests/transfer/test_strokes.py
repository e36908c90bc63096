"""The shipped backbone: its architecture, its depth groups, and the file in git."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from transfer.backbones.strokes import DEPTH_GROUPS, FEATURE_DIM, MIN_SIDE_PX, PREPROCESS, strokes

FOLDER = Path(__file__).parents[2] / "backbones"
WEIGHTS, CARD = FOLDER / "strokes.safetensors", FOLDER / "strokes.json"


@pytest.mark.parametrize(("height", "width"), [(MIN_SIDE_PX, MIN_SIDE_PX), (32, 32), (33, 47), (64, 64)])
def test_features_have_one_width_at_every_size(height: int, width: int) -> None:
    features = strokes().eval()(torch.zeros(2, 3, height, width))
    assert features.shape == (2, FEATURE_DIM)
    assert features.dtype == torch.float32


def test_depth_groups_are_the_direct_children_in_order() -> None:
    assert tuple(name for name, _ in strokes().named_children()) == DEPTH_GROUPS


def test_every_parameter_and_buffer_is_in_exactly_one_depth_group() -> None:
    for name in strokes().state_dict():
        assert sum(name.startswith(f"{group}.") for group in DEPTH_GROUPS) == 1


def test_every_depth_group_changes_the_features() -> None:
    trunk = strokes().eval()
    image = torch.rand(1, 3, 32, 32)
    before = trunk(image)
    for group in DEPTH_GROUPS:
        first = next(trunk.get_submodule(group).parameters())
        kept = first.detach().clone()
        with torch.no_grad():
            first.zero_()
        assert not torch.equal(trunk(image), before), group
        with torch.no_grad():
            first.copy_(kept)


def test_size_is_within_the_plan() -> None:
    assert 300_000 <= sum(parameter.numel() for parameter in strokes().parameters()) <= 800_000


def test_features_do_not_depend_on_the_rest_of_the_batch() -> None:
    trunk = strokes().eval()
    images = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(trunk(images)[:1], trunk(images[:1]))


def test_shipped_weights_load_strictly_and_are_finite() -> None:
    weights = load_file(WEIGHTS)
    strokes().load_state_dict(weights, strict=True)
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_shipped_file_is_small() -> None:
    assert WEIGHTS.stat().st_size <= 3_000_000


def test_card_describes_the_shipped_file_and_the_code() -> None:
    card = json.loads(CARD.read_text(encoding="utf-8"))
    assert card["sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert card["n_parameters"] == sum(parameter.numel() for parameter in strokes().parameters())
    assert card["feature_dim"] == FEATURE_DIM
    assert tuple(card["depth_groups"]) == DEPTH_GROUPS
    assert card["preprocess"] == {
        "resize_px": PREPROCESS.resize_px,
        "crop_px": PREPROCESS.crop_px,
        "mean": list(PREPROCESS.mean),
        "std": list(PREPROCESS.std),
        "interpolation": "bilinear",
    }
    assert card["licence"] == "Apache-2.0"
    assert card["images_seen"] == card["training"]["steps"] * card["training"]["batch_size"]
