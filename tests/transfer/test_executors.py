"""Executors: the features of plain PyTorch, each row the same whatever runs beside it, the network left as it was."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Backbone
from transfer.backbones.build import build_backbone
from transfer.backbones.executors import (
    EAGER,
    FOLDED,
    FOLDED_BFLOAT16,
    NAMES,
    ONNXRUNTIME,
    FromPixels,
    UnavailableError,
    prepare,
    run_rows,
)
from transfer.backbones.reference import BackboneReference
from transfer.backbones.trial import relative_error
from transfer.data.batches import normalise

ERRORS = {EAGER: 1e-5, FOLDED: 1e-5, FOLDED_BFLOAT16: 5e-2, ONNXRUNTIME: 1e-5}
SMALL = ("rootstock/strokes", "torchvision/mobilenet_v2?crop_px=32&width_mult=0.35", "torchvision/resnet18?crop_px=32")


def _pixels(n_rows: int, side_px: int) -> Tensor:
    made = torch.randint(0, 256, (n_rows, 3, side_px, side_px), generator=torch.Generator().manual_seed(1))
    return made.to(torch.uint8)


def _built(reference: str) -> Backbone:
    """Return a backbone with random weights and norm statistics that are no identity."""
    backbone = build_backbone(BackboneReference.parse(f"{reference}@none"), None, seed=0)
    draw = torch.Generator().manual_seed(2)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=draw) * 0.1)
            module.running_var.copy_(torch.rand(module.num_features, generator=draw) + 0.5)
    return backbone


def _run(name: str, backbone: Backbone, pixels: Tensor, batch_size: int = 8) -> Tensor:
    run = prepare(name, FromPixels(backbone.trunk, backbone.preprocess), pixels[:1])
    return torch.cat(list(run_rows(run, pixels, batch_size)))


@pytest.mark.parametrize("reference", SMALL)
@pytest.mark.parametrize("name", NAMES)
def test_features_are_those_of_plain_pytorch(name: str, reference: str) -> None:
    backbone = _built(reference)
    pixels = _pixels(11, 32)
    found = _run(name, backbone, pixels)
    with torch.no_grad():
        expected = backbone.eval()(normalise(pixels, backbone.preprocess))
    assert found.shape == (11, backbone.feature_dim)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert 0 <= relative_error(found, expected) < ERRORS[name]


@pytest.mark.parametrize("reference", SMALL)
@pytest.mark.parametrize("name", NAMES)
def test_the_bits_of_a_row_depend_on_no_other_row(name: str, reference: str) -> None:
    backbone, pixels = _built(reference), _pixels(19, 32)
    run = prepare(name, FromPixels(backbone.trunk, backbone.preprocess), pixels[:1])
    together = torch.cat(list(run_rows(run, pixels, 8)))
    for indices in ([7], [7, 0], [18, 3, 7, 11, 2, 1, 0, 5, 9], list(range(18, -1, -1))):
        others = torch.cat(list(run_rows(run, pixels[indices], 8)))
        assert torch.equal(others, together[indices])


@pytest.mark.parametrize("name", NAMES)
def test_the_network_is_left_as_it_was(name: str, tiny_backbone: Callable[[], Backbone]) -> None:
    backbone = tiny_backbone().train()
    next(iter(backbone.trunk.children())).eval()
    modes = [module.training for module in backbone.modules()]
    kept = {key: (value.clone(), value.stride(), value.data_ptr()) for key, value in backbone.state_dict().items()}
    trained = [parameter.requires_grad for parameter in backbone.parameters()]
    _run(name, backbone, _pixels(5, 8))
    assert [module.training for module in backbone.modules()] == modes
    assert [parameter.requires_grad for parameter in backbone.parameters()] == trained
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, kept[key][0])
        assert (value.stride(), value.data_ptr()) == kept[key][1:]


def test_batches_have_one_size_and_progress_counts_rows() -> None:
    sizes: list[int] = []
    counted: list[int] = []

    def run(rows: Tensor) -> Tensor:
        sizes.append(len(rows))
        return rows.float()

    rows = torch.arange(10, dtype=torch.uint8).view(10, 1)
    assert torch.equal(torch.cat(list(run_rows(run, rows, 4, counted.append))), rows.float())
    assert sizes == [4, 4, 4]
    assert counted == [4, 4, 2]
    assert list(run_rows(run, rows[:0], 4)) == []


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, rows: Tensor) -> Tensor:
        made: Tensor = self.attention(rows, rows, rows, need_weights=False)[0]
        return made


def test_attention_can_be_exported() -> None:
    network = _Attention().eval()
    rows = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    before = torch.backends.mha.get_fastpath_enabled()
    run = prepare(ONNXRUNTIME, network, rows[:1])
    assert torch.backends.mha.get_fastpath_enabled() == before
    with torch.no_grad():
        assert relative_error(run(rows), network(rows)) < 1e-5


class _DependsOnValues(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows if rows.sum() > 0 else -rows


class _FixesTheBatch(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows.reshape(int(rows.shape[0]), -1) if rows.shape[0] > 1 else rows.reshape(1, -1)


def test_what_cannot_be_traced_says_so() -> None:
    with pytest.raises(UnavailableError, match=r"folded cannot run it \(TraceError: "):
        prepare(FOLDED, _DependsOnValues(), torch.ones(1, 2))


def test_a_graph_that_fixes_the_number_of_rows_is_not_available() -> None:
    with pytest.raises(UnavailableError, match="onnxruntime"):
        prepare(ONNXRUNTIME, _FixesTheBatch(), torch.ones(1, 2, 2))


def test_only_pytorch_itself_runs_on_other_devices(tiny_backbone: Callable[[], Backbone]) -> None:
    elsewhere = torch.empty(1, 3, 8, 8, device="meta")
    for name in set(NAMES) - {EAGER}:
        with pytest.raises(UnavailableError, match="the network is on meta"):
            prepare(name, tiny_backbone().trunk, elsewhere)
