"""What is believed of candidates: closed forms where there are any, brute force where not."""

import math

import pytest
import torch
from scipy import stats

from transfer.errors import UserError
from transfer.selection.posterior import SPREAD, level_set, posterior

N_ROWS = 400


def _right(*accuracies: float, n_rows: int = N_ROWS) -> torch.Tensor:
    """Return outcomes of candidates whose mistakes are spread over rows independently of one another."""
    draw = torch.Generator().manual_seed(1)
    rows = []
    for accuracy in accuracies:
        right = torch.zeros(n_rows, dtype=torch.float64)
        right[torch.randperm(n_rows, generator=draw)[: round(accuracy * n_rows)]] = 1
        rows.append(right)
    return torch.stack(rows)


LABELS = torch.zeros(N_ROWS, dtype=torch.int64)


def test_without_knowledge_of_the_weights_the_rows_alone_speak() -> None:
    found = posterior(_right(0.9, 0.8), LABELS, (None, None), seed=0)
    assert found.accuracy().tolist() == pytest.approx([0.9, 0.8], abs=2e-3)
    low, high = found.interval(0.95)
    for place, n_right in enumerate((360, 320)):
        exact = stats.beta(n_right + 0.5, N_ROWS - n_right + 0.5).ppf([0.025, 0.975])
        assert [float(low[place]), float(high[place])] == pytest.approx(list(exact), abs=4e-3)


def test_the_probability_to_be_best_is_that_of_a_normal_lead() -> None:
    right = _right(0.86, 0.84)
    found = posterior(right, LABELS, (None, None), seed=0)
    lead = right[0] - right[1]
    expected = stats.norm.cdf(float(lead.mean()) / float(lead.std() / math.sqrt(N_ROWS)))
    assert float(found.best()[0]) == pytest.approx(expected, abs=0.03)
    assert float(found.best().sum()) == pytest.approx(1.0)


def test_equal_outcomes_are_level_whatever_their_accuracy_is_unsure_of() -> None:
    right = _right(0.7).repeat(2, 1)
    found = posterior(right, LABELS, (None, None), seed=0)
    assert torch.equal(found.draws[:, 0], found.draws[:, 1])
    assert found.regret(0) == found.regret(1) == 0.0
    assert found.best().tolist() == [0.5, 0.5]


def test_rows_and_weights_are_mixed_by_how_sure_each_of_them_is() -> None:
    right, top1 = _right(0.9, 0.9, n_rows=100), (0.8, 0.6)
    labels = torch.zeros(100, dtype=torch.int64)
    found = posterior(right, labels, top1, seed=0, n_draws=40_000)
    logits = found.draws.logit()
    rows_alone = posterior(right, labels, (None, None), seed=0, n_draws=40_000).draws.logit()
    variance = rows_alone.var(0)
    trust = SPREAD**2 / (SPREAD**2 + variance)
    expected = torch.tensor(top1, dtype=torch.float64).logit()
    level = (rows_alone.mean(0) - expected).mean()  # nearly equal precisions
    mean = trust * rows_alone.mean(0) + (1 - trust) * (level + expected)
    torch.testing.assert_close(logits.mean(0), mean, atol=0.01, rtol=0)
    own = logits - logits.mean(1, keepdim=True)  # what both have in common is no part of the choice
    rows_own = trust * (rows_alone - rows_alone.mean(1, keepdim=True))
    prior_own = (1 - trust) ** 2 * SPREAD**2 / 2
    torch.testing.assert_close(own.var(0), rows_own.var(0) + prior_own, rtol=0.05, atol=0)


@pytest.mark.parametrize(("n_rows", "leads"), [(40, 0.75), (40_000, 0.02)])
def test_few_rows_leave_the_weights_their_say_and_many_do_not(n_rows: int, leads: float) -> None:
    right = _right(0.85, 0.875, n_rows=n_rows)
    found = posterior(right, torch.zeros(n_rows, dtype=torch.int64), (0.82, 0.55), seed=0, n_draws=500)
    best = float(found.best()[0])
    assert best > leads if n_rows == 40 else best < leads


def test_a_single_known_candidate_moves_nothing() -> None:
    right = _right(0.9, 0.8)
    alone = posterior(right, LABELS, (None, None), seed=0)
    assert torch.equal(posterior(right, LABELS, (0.999, None), seed=0).draws, alone.draws)


def test_candidates_without_a_published_figure_stay_where_the_rows_put_them() -> None:
    right = _right(0.9, 0.8, 0.7)
    alone = posterior(right, LABELS, (None, None, None), seed=0)
    mixed = posterior(right, LABELS, (0.6, 0.8, None), seed=0)
    assert torch.equal(mixed.draws[:, 2], alone.draws[:, 2])
    assert not torch.allclose(mixed.draws[:, 0], alone.draws[:, 0])


def test_each_class_is_drawn_as_often_as_it_is() -> None:
    labels = torch.tensor([0] * 390 + [1] * 10)
    right = (labels == 0).double()[None]
    found = posterior(right, labels, (None,), seed=0)
    assert float(found.draws.std()) < 3e-3  # 8e-3 were it left to chance how many of a class there are


@pytest.mark.parametrize("n_right", [400, 399, 360, 3, 0])
def test_a_single_class_has_the_posterior_of_jeffreys(n_right: int) -> None:
    found = posterior(_right(n_right / N_ROWS), LABELS, (None,), seed=0, n_draws=20_000).draws[:, 0]
    expected = stats.beta(n_right + 0.5, N_ROWS - n_right + 0.5)
    quantiles = torch.tensor([0.025, 0.5, 0.975], dtype=torch.float64)
    assert found.quantile(quantiles).tolist() == pytest.approx(list(expected.ppf(quantiles.numpy())), abs=2e-3)


def test_who_may_not_be_chosen_is_not_the_best() -> None:
    found = posterior(_right(0.9, 0.8, 0.7), LABELS, (None, None, None), seed=0)
    assert found.best([False, True, True]).tolist() == pytest.approx([0.0, 1.0, 0.0], abs=0.01)


def test_a_draw_depends_on_the_seed_alone() -> None:
    right = _right(0.9, 0.8)
    first, again, other = (posterior(right, LABELS, (0.7, 0.6), seed=seed).draws for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("best", "level"),
    [((0.96, 0.04, 0.0), (0,)), ((0.3, 0.6, 0.1), (1, 0, 2)), ((0.35, 0.6, 0.05), (1, 0)), ((1.0,), (0,))],
)
def test_level_candidates_hold_the_best_one(best: tuple[float, ...], level: tuple[int, ...]) -> None:
    assert level_set(torch.tensor(best, dtype=torch.float64), 0.95) == level


def test_nothing_cannot_be_compared() -> None:
    with pytest.raises(UserError, match="0 candidates on 5 rows"):
        posterior(torch.zeros(0, 5), torch.zeros(5, dtype=torch.int64), (), seed=0)
