"""A fall of the mean loss counts only where pairs of losses say so."""

import numpy as np
import pytest
import torch
from scipy import stats

from transfer.finetuning.gate import change


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_it_decides_as_the_one_sided_paired_t_test_does(shift: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    before = draw.exponential(1.0, 42)
    after = before - shift + draw.normal(0, 0.6, 42)
    found = change(torch.from_numpy(before), torch.from_numpy(after))
    p_value = stats.ttest_rel(after, before, alternative="less").pvalue
    assert found.helped == (p_value < 0.05)
    assert (found.before, found.after) == pytest.approx((before.mean(), after.mean()))


def test_an_equal_fall_of_every_loss_counts_however_small() -> None:
    before = torch.linspace(0, 1, 10, dtype=torch.float64)
    assert change(before, before - 2**-20).helped
    assert not change(before, before).helped
    assert not change(before, before + 2**-20).helped


def test_a_single_row_decides_nothing() -> None:
    found = change(torch.ones(1), torch.zeros(1))
    assert found.noise is None
    assert not found.helped
