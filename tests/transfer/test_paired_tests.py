"""One-sided tests of two models on the same rows, against scipy, a brute-force likelihood and their promised levels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from transfer.errors import UserError
from transfer.metrics.paired_tests import noninferiority_p, restricted_share, superiority_p


@given(st.integers(0, 300), st.integers(0, 300))
def test_superiority_is_scipys_one_sided_binomial_test(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second, alternative="greater").pvalue if first + second else 1.0
    assert superiority_p(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n_discordant", [0, 1, 4, 5, 20, 63])
def test_of_equal_models_no_more_are_called_superior_than_the_level_says(n_discordant: int) -> None:
    chances = stats.binom.pmf(np.arange(n_discordant + 1), n_discordant, 0.5)
    called = [superiority_p(first, n_discordant - first) <= 0.05 for first in range(n_discordant + 1)]
    assert chances[called].sum() <= 0.05


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 400), st.floats(0.005, 0.4))
def test_the_restricted_share_is_the_likeliest(first: int, second: int, both: int, margin: float) -> None:
    n_rows, difference = first + second + both, -margin

    def loss(share: float) -> float:
        cells = np.array([share + difference, share, 1 - 2 * share - difference])
        counts = np.array([first, second, both])
        return float(-np.sum(counts[counts > 0] * np.log(np.maximum(cells[counts > 0], 1e-300))))

    found = restricted_share(first, second, n_rows, difference)
    bounds = (margin, (1 + margin) / 2)
    brute = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    assert bounds[0] - 1e-9 <= found <= bounds[1] + 1e-9
    assert loss(found) <= brute.fun + 1e-6


def test_the_score_statistic_by_hand() -> None:
    """Without discordant rows restricted share is the margin itself, and z = sqrt(n m / (1 - m))."""
    n_rows, margin = 100, 0.02
    expected = stats.norm.sf(np.sqrt(n_rows * margin / (1 - margin)))
    assert noninferiority_p(0, 0, n_rows, margin) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n_rows", "discordant"), [(100, 0.1), (200, 0.06), (300, 0.2)])
def test_a_model_worse_by_the_margin_is_called_non_inferior_as_often_as_the_level_says(
    n_rows: int, discordant: float
) -> None:
    margin, chance = 0.03, 0.0
    shares = np.array([(discordant - margin) / 2, (discordant + margin) / 2])
    for n_discordant in range(n_rows + 1):
        of_this_size = stats.binom.pmf(n_discordant, n_rows, discordant)
        if of_this_size < 1e-9:
            continue
        for first in range(n_discordant + 1):
            if noninferiority_p(first, n_discordant - first, n_rows, margin) <= 0.05:
                chance += of_this_size * stats.binom.pmf(first, n_discordant, shares[0] / discordant)
    assert chance == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize(
    ("counts", "margin"), [((3, 3, 5), 0.1), ((-1, 0, 5), 0.1), ((1, 1, 5), 0.0), ((1, 1, 5), 1.0)]
)
def test_what_is_impossible_is_refused(counts: tuple[int, int, int], margin: float) -> None:
    with pytest.raises(UserError, match=r"impossible counts|margin is"):
        noninferiority_p(*counts, margin)


def test_the_worked_example_of_the_paper() -> None:
    """44 patients tried two ways of disinfecting lenses, one was served by the old way alone: Z = 1.709, p = 0.044."""
    found = noninferiority_p(0, 1, 44, 0.1)
    assert found == pytest.approx(0.044, abs=0.0005)
    assert stats.norm.isf(found) == pytest.approx(1.709, abs=0.0005)
