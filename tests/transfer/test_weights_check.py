"""Weights and architectures: what fits is taken over key by key, what does not is named."""

import pytest
import torch
from torch import Tensor, nn

from transfer.backbones.weights_check import match, unwrap
from transfer.errors import UserError


def _trunk() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())


def _matched(given: dict[str, Tensor], heads: tuple[str, ...] = ("fc",)) -> dict[str, Tensor]:
    return match(_trunk().state_dict(), given, heads, "torchvision/tiny", "a.pth")


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model", "model_state"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_state_dict_is_found_in_its_usual_wrappers(key: str | None, prefix: str) -> None:
    state = {f"{prefix}fc.weight": torch.ones(2, 3)}
    content = state if key is None else {key: state, "epoch": 3, "optimizer": {"lr": 0.1}}
    assert list(unwrap(content, "a.pth")) == ["fc.weight"]


@pytest.mark.parametrize(
    "content", [{}, [], None, torch.ones(3), {"epoch": 3}, {"state_dict": {}}, {"model": {"a": 1}}]
)
def test_what_holds_no_state_dict_is_refused(content: object) -> None:
    with pytest.raises(UserError, match=r"a\.pth holds no state dict"):
        unwrap(content, "a.pth")


@pytest.mark.parametrize("n_classes", [None, 2, 1000])
def test_the_head_may_have_any_width_or_be_absent(n_classes: int | None) -> None:
    state = _trunk().state_dict()
    head = {} if n_classes is None else {"fc.weight": torch.ones(n_classes, 4), "fc.bias": torch.ones(n_classes)}
    matched = _matched({**state, **head})
    assert set(matched) == set(state)
    assert all(torch.equal(matched[key], value) for key, value in state.items())


def test_users_own_layers_in_place_of_the_head_are_dropped() -> None:
    state = _trunk().state_dict()
    own = {"classifier.weight": torch.ones(2, 4), "classifier.3.weight": torch.ones(2, 4)}
    assert set(_matched({**state, **own}, heads=("classifier.1",))) == set(state)


def test_a_container_that_the_trunk_shares_with_the_head_is_not_dropped() -> None:
    state = {"classifier.0.weight": torch.ones(2, 2)}
    given = {**state, "classifier.3.weight": torch.ones(5, 2)}
    assert set(match(state, given, ("classifier.3",), "torchvision/tiny", "a.pth")) == set(state)
    with pytest.raises(UserError, match=r"unexpected classifier\.6\.weight"):
        match(state, {**given, "classifier.6.weight": torch.ones(5, 2)}, ("classifier.3",), "torchvision/tiny", "a.pth")


def test_heads_beside_the_head_are_dropped() -> None:
    state = _trunk().state_dict()
    assert set(_matched({**state, "aux1.conv.weight": torch.ones(1)}, heads=("fc", "aux1"))) == set(state)


def test_other_keys_are_named_with_the_architecture() -> None:
    state = _trunk().state_dict()
    del state["0.weight"], state["1.bias"]
    with pytest.raises(UserError) as caught:
        _matched({**state, "layer9.weight": torch.ones(1), "0.bias": torch.ones(7)})
    sentence = str(caught.value)
    assert sentence.startswith("a.pth holds weights of another architecture than torchvision/tiny (")
    for part in ("missing 0.weight, 1.bias", "unexpected layer9.weight", "another shape 0.bias (7,) instead of (4,)"):
        assert part in sentence


def test_many_differences_are_counted() -> None:
    with pytest.raises(UserError, match=r"unexpected x0, x1, x2 and 7 more"):
        _matched({**_trunk().state_dict(), **{f"x{index}": torch.ones(1) for index in range(10)}})


@pytest.mark.parametrize("given", [{"other": torch.ones(1)}, {"fc.weight": torch.ones(2, 2)}])
def test_a_file_without_a_single_layer_in_common_is_refused(given: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match=r"another architecture .*missing 0\.weight"):
        _matched(given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype) -> None:
    state = _trunk().state_dict()
    matched = _matched({key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()})
    for key, value in matched.items():
        assert value.dtype == state[key].dtype
        torch.testing.assert_close(value, state[key], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(bad: float) -> None:
    state = _trunk().state_dict()
    state["1.running_var"] = torch.full((4,), bad)
    with pytest.raises(UserError, match=r"a\.pth holds 1\.running_var with a value that is not finite"):
        _matched(state)


def test_quantised_weights_are_refused() -> None:
    state = _trunk().state_dict()
    state["0.weight"] = torch.ones(4, 3, 3, 3, dtype=torch.int8)
    with pytest.raises(UserError, match=r"0\.weight as torch\.int8 instead of floating point"):
        _matched(state)


def test_files_older_than_the_step_counter_are_taken() -> None:
    state = _trunk().state_dict()
    del state["1.num_batches_tracked"]
    assert _matched(state)["1.num_batches_tracked"].item() == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("features.denseblock1.denselayer1.norm.1.weight", "features.denseblock1.denselayer1.norm1.weight"),
        ("features.denseblock1.denselayer12.conv.2.weight", "features.denseblock1.denselayer12.conv2.weight"),
        ("encoder.layers.encoder_layer_0.mlp.linear_1.bias", "encoder.layers.encoder_layer_0.mlp.0.bias"),
        ("encoder.layers.encoder_layer_0.mlp.linear_2.bias", "encoder.layers.encoder_layer_0.mlp.3.bias"),
    ],
)
def test_names_of_older_releases_are_understood(old: str, new: str) -> None:
    assert set(match({new: torch.ones(2)}, {old: torch.ones(2)}, ("head",), "torchvision/tiny", "a.pth")) == {new}
