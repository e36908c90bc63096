"""Averages of weights against their closed forms."""

import pytest
import torch

from transfer.finetuning.averaging import MovingAverage, blended


@pytest.mark.parametrize("n_updates", [1, 5, 30, 400, 100_000])
def test_the_moving_average_is_the_weighted_mean_of_the_path(n_updates: int) -> None:
    path = torch.randn((40, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    average = MovingAverage(n_updates)
    for weights in path:
        average.update({"w": weights})
    shares = average.decay ** torch.arange(len(path) - 1, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(average.values()["w"], (shares[:, None] * path).sum(0) / shares.sum())


def test_its_memory_is_a_tenth_of_the_updates_and_has_an_end() -> None:
    assert MovingAverage(5).decay == 0.0
    assert MovingAverage(1000).decay == pytest.approx(0.99)
    assert MovingAverage(10**6).decay == pytest.approx(0.999)


def test_of_equal_weights_the_average_is_the_weight_from_the_first_update_on() -> None:
    average = MovingAverage(1000)
    for _ in range(3):
        average.update({"w": torch.full((2,), 7.0)})
        assert average.values()["w"].tolist() == pytest.approx([7.0, 7.0])


def test_blends_lie_between_and_end_exactly() -> None:
    start, end = (
        {"w": torch.tensor([0.1, 1.0]), "n": torch.tensor(1)},
        {"w": torch.tensor([0.3, 5.0]), "n": torch.tensor(9)},
    )
    assert torch.equal(blended(start, end, 0.0)["w"], start["w"])
    assert torch.equal(blended(start, end, 1.0)["w"], end["w"])
    between = blended(start, end, 0.25)
    assert between["w"].tolist() == pytest.approx([0.15, 2.0])
    assert between["n"].item() == 9
