"""The trial: the fastest exact executor wins, and none is tried that cannot pay for itself."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
import torch
from torch import Tensor, nn

from transfer.backbones import trial
from transfer.backbones.backbone import Backbone
from transfer.backbones.build import build_backbone
from transfer.backbones.executors import BATCH_SIZE, EAGER, FOLDED, FOLDED_BFLOAT16, ONNXRUNTIME, FromPixels, Run
from transfer.backbones.reference import BackboneReference
from transfer.backbones.trial import Choice, Measured, choose, relative_error, small_work

MANY = 10_000_000


class Clock:
    """A clock that moves only when an executor is made or run."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return seconds."""
        return self.now_s


@pytest.fixture
def costing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clock]:
    """Return what gives executors costs on a clock: name -> (seconds to make it, seconds a batch)."""
    prepare = trial.prepare

    def make(costs: dict[str, tuple[float, float]], changed: Callable[[str, Tensor], Tensor] | None = None) -> Clock:
        clock = Clock()

        def costly(name: str, network: nn.Module, example: Tensor) -> Run:
            if name not in costs:
                raise trial.UnavailableError(f"{name} is not here")
            run = prepare(name, network, example)
            clock.now_s += costs[name][0]

            def counted(rows: Tensor) -> Tensor:
                clock.now_s += costs[name][1]
                return run(rows) if changed is None else changed(name, run(rows))

            return counted

        monkeypatch.setattr(trial, "prepare", costly)
        return clock

    return make


@pytest.fixture
def network(tiny_backbone: Callable[[], Backbone]) -> FromPixels:
    """Return a small network that takes pixels."""
    backbone = tiny_backbone()
    return FromPixels(backbone.trunk, backbone.preprocess)


@pytest.fixture
def sample() -> Tensor:
    """Return some rows of its input, fewer than a batch."""
    made = torch.randint(0, 256, (BATCH_SIZE - 5, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    return made.to(torch.uint8)


ALL = {EAGER: (0.0, 1.0), ONNXRUNTIME: (1.0, 0.3), FOLDED: (0.5, 0.7), FOLDED_BFLOAT16: (0.5, 0.2)}


def _by_name(choice: Choice) -> dict[str, Measured]:
    return {entry.name: entry for entry in choice.measured}


def test_the_fastest_exact_one_wins_and_runs(
    network: FromPixels, sample: Tensor, costing: Callable[..., Clock]
) -> None:
    choice, run = choose(network, sample, MANY, costing(ALL))
    assert (choice.executor, choice.batch_size, choice.up_to_images) == (ONNXRUNTIME, BATCH_SIZE, None)
    assert choice.measured[0].why_not == ""
    found = _by_name(choice)
    assert (found[ONNXRUNTIME].prepare_s, found[ONNXRUNTIME].batch_s) == pytest.approx((1.0, 0.3))
    assert found[ONNXRUNTIME].rows_independent
    assert 0 <= (found[ONNXRUNTIME].error or 0) < trial.TOLERANCE
    assert found[EAGER].why_not == "slower than onnxruntime"
    assert "tolerance of 0.0001" in found[FOLDED_BFLOAT16].why_not
    assert found[FOLDED].why_not == "cannot be faster than onnxruntime"
    with torch.no_grad():
        assert relative_error(run(sample), network.eval()(sample)) < trial.TOLERANCE


def test_a_tolerance_admits_less_exact_ones(network: FromPixels, sample: Tensor, costing: Callable[..., Clock]) -> None:
    choice, _ = choose(network, sample, MANY, costing(ALL), tolerance=0.1)
    assert choice.executor == FOLDED_BFLOAT16
    assert 1e-4 < (choice.measured[0].error or 0) < 0.1


def test_what_is_not_there_leaves_its_reason(
    network: FromPixels, sample: Tensor, costing: Callable[..., Clock]
) -> None:
    costs = {name: cost for name, cost in ALL.items() if name != ONNXRUNTIME}
    choice, _ = choose(network, sample, MANY, costing(costs))
    assert choice.executor == FOLDED
    assert _by_name(choice)[ONNXRUNTIME].why_not == "onnxruntime is not here"


def test_few_images_try_nothing_and_say_how_far_that_holds(
    network: FromPixels, sample: Tensor, costing: Callable[..., Clock]
) -> None:
    costs = {name: (made, batch_s / 100) for name, (made, batch_s) in ALL.items()}
    clock = costing(costs)
    choice, _ = choose(network, sample, 20, clock)
    assert choice.executor == EAGER
    assert clock.now_s == pytest.approx(3 * 0.01)  # nothing but three batches of PyTorch
    assert choice.up_to_images is not None
    assert choice.covers(20)
    assert not choice.covers(choice.up_to_images + 1)
    later, _ = choose(network, sample, 3 * choice.up_to_images, costing(costs))
    assert later.executor != EAGER


def test_a_near_tie_stays_with_pytorch(network: FromPixels, sample: Tensor, costing: Callable[..., Clock]) -> None:
    costs = {EAGER: (0.0, 1.0), ONNXRUNTIME: (0.0, 0.95), FOLDED: (0.0, 0.97)}
    choice, _ = choose(network, sample, MANY, costing(costs))
    assert choice.executor == EAGER
    assert _by_name(choice)[ONNXRUNTIME].why_not == "not clearly faster than eager"


def test_wrong_features_are_not_chosen(network: FromPixels, sample: Tensor, costing: Callable[..., Clock]) -> None:
    def wrong(name: str, made: Tensor) -> Tensor:
        return made * 1.01 if name == ONNXRUNTIME else made

    choice, _ = choose(network, sample, MANY, costing(ALL, wrong))
    assert choice.executor == FOLDED
    assert _by_name(choice)[ONNXRUNTIME].error == pytest.approx(0.01, rel=0.01)


def test_rows_that_depend_on_their_neighbours_are_not_chosen(
    network: FromPixels, sample: Tensor, costing: Callable[..., Clock]
) -> None:
    calls: Iterator[int] = count()

    def leaking(name: str, made: Tensor) -> Tensor:
        return made * (1 + next(calls) * 1e-6) if name == ONNXRUNTIME else made

    choice, _ = choose(network, sample, MANY, costing(ALL, leaking))
    assert choice.executor == FOLDED
    found = _by_name(choice)[ONNXRUNTIME]
    assert found.rows_independent is False
    assert "depend on the rows beside" in found.why_not


def test_pytorch_gives_way_to_a_slower_one_where_its_rows_depend_on_their_neighbours(
    network: FromPixels, sample: Tensor, costing: Callable[..., Clock]
) -> None:
    calls: Iterator[int] = count()

    def leaking(name: str, made: Tensor) -> Tensor:
        return made * (1 + next(calls) * 1e-6) if name == EAGER else made

    costs = {EAGER: (0.0, 1.0), FOLDED: (0.0, 1.2)}
    choice, _ = choose(network, sample, MANY, costing(costs, leaking))
    assert choice.executor == FOLDED


def test_nothing_is_folded_where_there_is_no_norm(sample: Tensor, costing: Callable[..., Clock]) -> None:
    class Mean(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows.float().mean(dim=(2, 3))

    choice, _ = choose(Mean(), sample, MANY, costing({EAGER: (0.0, 1.0), FOLDED: (0.0, 0.1)}))
    assert choice.executor == EAGER
    assert _by_name(choice)[FOLDED].why_not == "there are no batch norms to fold"


@pytest.mark.parametrize(
    ("network", "shape", "n_multiplications"),
    [
        (nn.Linear(100, 1000, bias=False), (1, 100), 100_000),
        (nn.Conv2d(3, 8, 3, padding=1, bias=False), (1, 3, 10, 10), 100 * 8 * 27),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (1, 8, 10, 10), 100 * 8 * 9),
    ],
)
def test_small_work_is_known_without_a_clock(
    network: nn.Module, shape: tuple[int, ...], n_multiplications: int
) -> None:
    assert small_work(nn.Sequential(network), torch.zeros(shape)) == int(
        trial.SMALL_WORK_FLOPS / (2 * n_multiplications)
    )
    assert network.training
    assert len(network._forward_hooks) == 0


def test_a_mobilenet_does_the_work_that_is_published() -> None:
    backbone = build_backbone(BackboneReference.parse("torchvision/mobilenet_v2@none"), None, seed=0)
    n_images = small_work(backbone.trunk, torch.zeros(1, 3, 224, 224))
    published_flops = 2 * (300.8e6 - 1.28e6)  # torchvision's 0.301 G multiply-adds without the classifier
    assert n_images == pytest.approx(trial.SMALL_WORK_FLOPS / published_flops, rel=0.03)


def test_a_choice_survives_being_written(network: FromPixels, sample: Tensor, costing: Callable[..., Clock]) -> None:
    choice, _ = choose(network, sample, MANY, costing(ALL))
    assert Choice.from_plain(choice.to_plain()) == choice


def test_the_relative_error_is_that_of_the_worst_row() -> None:
    expected = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    assert relative_error(torch.tensor([[3.0, 4.5], [1.0, 0.0]]), expected) == pytest.approx(0.1)
