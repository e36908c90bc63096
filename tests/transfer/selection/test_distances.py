"""Distances of two sets against refits, a double loop, and what chance gives."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from transfer.errors import UserError
from transfer.metrics.ridge import RidgePath
from transfer.selection.distances import mmd as mmd_module
from transfer.selection.distances.mmd import mmd
from transfer.selection.distances.proxy_a_distance import proxy_a_distance


def _sets(n_first: int, n_second: int, width: int, apart: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(n_first, width)), random.normal(size=(n_second, width))
    return torch.tensor(first), torch.tensor(second + apart)


def test_proxy_a_distance_is_what_refitting_without_each_row_gives() -> None:
    first, second = _sets(30, 12, 5, apart=0.6)
    rows = torch.cat([first, second]).numpy()
    domains = np.repeat([0, 1], [30, 12])
    weights = np.repeat([1 / 30, 1 / 12], [30, 12])
    path = RidgePath(torch.tensor(rows), torch.tensor(domains), 2, torch.tensor(weights))
    best = (np.inf, np.nan)
    for strength in path.strengths():
        predicted = np.empty(42)
        for row in range(42):
            others = np.arange(42) != row
            model = Ridge(alpha=strength).fit(rows[others], domains[others], weights[others] / weights.mean())
            predicted[row] = model.predict(rows[row : row + 1])[0]
        wrong = (predicted > 0.5) != domains
        error = (wrong[:30].mean() + wrong[30:].mean()) / 2
        best = min(best, ((weights * (predicted - domains) ** 2).sum(), error))
    assert 0 < best[1] < 0.5
    assert proxy_a_distance(first, second) == pytest.approx(2 * (1 - 2 * best[1]))


def test_proxy_a_distance_ends_at_0_and_2() -> None:
    assert proxy_a_distance(*_sets(200, 200, 3, apart=0.0)) < 0.3
    assert proxy_a_distance(*_sets(40, 20, 3, apart=100.0)) == 2.0
    same = torch.ones(10, 3)
    assert proxy_a_distance(same, same) == 0.0


def _by_loops(first: np.ndarray, second: np.ndarray) -> float:
    rows = np.concatenate([first, second])
    n_rows, n_first = len(rows), len(first)
    pairs = [((rows[i] - rows[j]) ** 2).sum() for i in range(n_rows) for j in range(i)]
    median = sorted(pairs)[(len(pairs) - 1) // 2]
    total = 0.0
    for i in range(n_rows):
        for j in range(n_rows):
            if i != j:
                squared = ((rows[i] - rows[j]) ** 2).sum()
                kernel = np.mean([np.exp(-squared / (factor * median)) for factor in (0.25, 0.5, 1, 2, 4)])
                one, two = i < n_first, j < n_first
                size = n_first if one else n_rows - n_first
                share = 1 / (size * (size - 1)) if one == two else -1 / (n_first * (n_rows - n_first))
                total += share * kernel
    return total


@pytest.mark.parametrize("apart", [0.0, 0.7])
def test_mmd_is_the_double_loop(apart: float) -> None:
    first, second = _sets(9, 14, 3, apart)
    assert mmd(first, second, seed=0).squared == pytest.approx(_by_loops(first.numpy(), second.numpy()), rel=1e-9)


def test_mmd_tells_sets_apart_and_chance_from_a_difference() -> None:
    different = mmd(*_sets(40, 60, 4, apart=0.7), seed=0, n_permutations=99)
    assert different.p_value == 1 / 100
    p_values = [mmd(*_sets(25, 25, 4, 0.0, seed), seed=1, n_permutations=99).p_value for seed in range(40)]
    assert 0.3 < np.mean(p_values) < 0.7  # uniform: 0.5, with a standard error of 0.046
    assert np.mean(np.array(p_values) <= 0.1) < 0.3


def test_mmd_of_the_same_distribution_is_as_often_below_0() -> None:
    found = [mmd(*_sets(20, 20, 3, 0.0, seed), seed=0, n_permutations=1).squared for seed in range(60)]
    assert 10 < sum(value < 0 for value in found) < 50
    assert abs(np.mean(found)) < 3 * np.std(found) / 60**0.5


def test_parts_and_draws_change_nothing_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _sets(60, 50, 3, apart=0.5)
    whole = mmd(first, second, seed=0)
    monkeypatch.setattr(mmd_module, "_MOST_VALUES", 500)
    assert mmd(first, second, seed=0) == whole
    monkeypatch.setattr(mmd_module, "_MOST_ROWS", 40)
    drawn = mmd(first, second, seed=0)
    assert drawn == mmd(first, second, seed=0)
    assert drawn.squared == pytest.approx(whole.squared, abs=0.1)
    assert drawn.squared != mmd(first, second, seed=1).squared


def test_sets_of_one_point_are_the_same() -> None:
    same = torch.full((5, 3), 2.0)
    found = mmd(same, same, seed=0)
    assert (found.squared, found.p_value) == (pytest.approx(0.0, abs=1e-12), 1.0)


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (torch.ones(1, 3), torch.ones(4, 3), r"\(1, 3\) and \(4, 3\) cannot be compared"),
        (torch.ones(4, 3), torch.ones(4, 2), r"\(4, 2\) cannot be compared"),
        (torch.ones(4, 3), torch.full((4, 3), torch.nan), "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(first: Tensor, second: Tensor, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        proxy_a_distance(first, second)
    with pytest.raises(UserError, match=sentence):
        mmd(first, second, seed=0)
