"""A fall of the mean loss counts only where pairs of losses say so."""

import numpy as np
import pytest
import torch
from scipy import stats

from transfer.finetuning.gate import beside, change, otherwise
from transfer.finetuning.plan import PROBE, REFIT
from transfer.records import StepOutcome


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


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_where_classes_count_the_same_it_decides_as_welchs_test_of_two_classes_does(shift: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    before, strata = draw.exponential(1.0, 30), np.array([0] * 24 + [1] * 6)
    after = before - shift + draw.normal(0, 0.2 + 0.5 * strata)
    found = change(torch.from_numpy(before), torch.from_numpy(after), torch.from_numpy(strata))
    first, second = (before - after)[strata == 0], (before - after)[strata == 1]
    p_value = stats.ttest_ind(first, -second, equal_var=False, alternative="greater").pvalue
    assert found.helped == (p_value < 0.05)
    assert found.before == pytest.approx((before[strata == 0].mean() + before[strata == 1].mean()) / 2)


def test_a_class_of_one_row_is_taken_to_vary_as_the_class_that_varies_most() -> None:
    before = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    after = before - torch.tensor([0.1, 0.3, 0.2, 0.2, 0.9], dtype=torch.float64)
    found = change(before, after, torch.tensor([0, 0, 0, 0, 1]))
    variance = float((after - before)[:4].var())
    shares = (variance / 4, variance)
    freedom = sum(shares) ** 2 / (shares[0] ** 2 / 3 + shares[1] ** 2)
    assert found.noise == pytest.approx(stats.t.ppf(0.95, freedom) * sum(shares) ** 0.5 / 2)
    assert change(before[3:], after[3:], torch.tensor([0, 1])).noise is None


def test_a_step_has_to_beat_what_there_is_otherwise_where_that_is_better_than_what_was_before() -> None:
    before = torch.linspace(1, 2, 20, dtype=torch.float64)
    found = change(before, before - torch.linspace(0.1, 0.3, 20, dtype=torch.float64))
    assert found.helped
    assert beside(found, None) == beside(found, 9.0) == beside(found, found.after + 1e-6) == found
    undone = beside(found, found.after)
    assert not undone.helped
    assert (undone.before, undone.after) == (found.after, found.after)
    assert beside(change(before, before + 1), 9.0).before == pytest.approx(1.5)


def test_what_there_is_otherwise_is_the_head_of_all_rows_until_a_step_is_kept() -> None:
    def outcome(name: str, nll: float, *, kept: bool = True) -> StepOutcome:
        return StepOutcome(name, (), None, nll, 0.5, 10, kept=kept)

    first = [outcome(PROBE, 0.9), outcome(REFIT, 0.7)]
    assert otherwise(first, spare=True) == 0.7
    assert otherwise([*first, outcome("last", 0.8, kept=False)], spare=True) == 0.7
    assert otherwise([*first, outcome("last", 0.6)], spare=True) is None
    assert otherwise(first, spare=False) is None
    assert otherwise([outcome(PROBE, 0.9), outcome(REFIT, 0.95, kept=False)], spare=True) is None
