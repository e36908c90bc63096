"""Scores by discriminant analysis: the posterior against scikit-learn, pools, and what must not change them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.etran import EnergyParts, energy, energy_parts, etran
from transfer.selection.scores.lda import posterior, shrinkage_of, within_scatter
from transfer.selection.scores.ncti import CollapseParts, collapse_parts, ncti
from transfer.selection.scores.sfda import sfda

Clusters = Callable[..., tuple[Tensor, Tensor]]


@pytest.mark.parametrize(("n_rows", "width"), [(60, 6), (30, 50)])
def test_the_posterior_is_scikit_learns(clusters: Clusters, n_rows: int, width: int) -> None:
    features, labels = clusters(n_rows, width)
    decomposition = Decomposition.of(features, labels)
    targets, scatter = decomposition.targets, within_scatter(decomposition)
    expected = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(features.numpy(), labels.numpy())
    found = posterior(decomposition.leading()[0], targets, scatter, 0.3, width)
    np.testing.assert_allclose(found.numpy(), expected.predict_proba(features.numpy()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", [(60, 6), (30, 50)])
@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_the_shrinkage_is_that_of_multiplying_ones(clusters: Clusters, shape: tuple[int, int], scale: float) -> None:
    features, labels = clusters(*shape, spread=scale, offset=0.0)
    rows = features.numpy()
    within = rows - np.stack([rows[labels.numpy() == label].mean(0) for label in labels])
    scatter = within.T @ within / len(rows)
    vector = scatter.sum(1)
    for _ in range(6):
        before, vector = vector, scatter @ vector
        vector /= np.linalg.norm(vector)
    expected = max(np.exp(-5 * vector @ scatter @ (before / np.linalg.norm(before))), 1e-10)
    decomposition = Decomposition.of(features, labels)
    found = shrinkage_of(within_scatter(decomposition), decomposition)
    assert found == pytest.approx(expected, rel=1e-6)


def test_features_are_left_as_they_are(clusters: Clusters) -> None:
    features, labels = clusters(40, 6)
    before = features.clone()
    decomposition = Decomposition.of(features, labels)
    components = decomposition.principal.components.clone()
    assert sfda(decomposition) == sfda(decomposition)
    assert torch.equal(features, before)
    assert torch.equal(decomposition.principal.components, components)


@pytest.mark.parametrize("n_rows", [12, 60])
@pytest.mark.parametrize("score", [sfda, lambda rows: energy_parts(rows).classification])
def test_they_tell_clusters_from_noise(
    clusters: Clusters, n_rows: int, score: Callable[[Decomposition], float]
) -> None:
    features, labels = clusters(n_rows, 5, spread=0.3)
    noise = torch.tensor(np.random.default_rng(1).normal(size=(n_rows, 5)))
    assert score(Decomposition.of(features, labels)) > score(Decomposition.of(noise, labels))


@settings(max_examples=15)
@given(st.integers(0, 100), st.floats(-100, 100))
def test_moving_the_features_changes_nothing(clusters: Clusters, seed: int, by: float) -> None:
    features, labels = clusters(40, 6, seed=seed)
    before, after = Decomposition.of(features, labels), Decomposition.of(features + by, labels)
    assert sfda(after) == pytest.approx(sfda(before), rel=1e-6)
    parts, moved = collapse_parts(before), collapse_parts(after)
    assert moved.spread == pytest.approx(parts.spread, rel=1e-6)
    assert moved.nearest == pytest.approx(parts.nearest, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_classes_without_any_scatter_are_sure(scale: float) -> None:
    labels = torch.arange(12) % 3
    points = scale * torch.eye(5, dtype=torch.float64)[labels]
    decomposition = Decomposition.of(points, labels)
    assert sfda(decomposition) > 0.9
    assert energy_parts(decomposition).classification > 0.9
    assert 1 / 3 < collapse_parts(decomposition).nearest <= 1


def test_features_without_variance_know_the_shares_alone() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    constant = Decomposition.of(torch.full((4, 3), 2.0), labels)
    expected = (3 / 4) ** 2 + (1 / 4) ** 2
    assert sfda(constant) == pytest.approx(expected)
    assert energy_parts(constant).classification == pytest.approx(expected)
    assert collapse_parts(constant).nearest == pytest.approx(expected)


def test_the_lowest_energies_count() -> None:
    features = torch.arange(400, dtype=torch.float64)[:, None].repeat(1, 3)
    assert energy(features) == pytest.approx(0.5 + np.log(3))
    assert energy(features[:10]) == pytest.approx(np.log(3))


def test_pools_rescale_every_part() -> None:
    pool = [CollapseParts(10.0, 0.5, 3.0), CollapseParts(20.0, 0.9, 2.0), CollapseParts(15.0, 0.7, 4.0)]
    assert ncti(pool) == pytest.approx((0 + 0 - 0.5, 1 + 1 - 0, 0.5 + 0.5 - 1))
    energies = [EnergyParts(0.2, 8.0), EnergyParts(0.4, 7.0), EnergyParts(0.3, 7.5)]
    assert etran(energies) == pytest.approx((0.15, 0.85, 0.5))


def test_another_candidate_can_turn_the_order_of_a_pool() -> None:
    first, second = EnergyParts(0.50, 1.0), EnergyParts(0.49, 9.0)
    alone = etran([first, second])
    assert alone[0] > alone[1]
    among = etran([first, second, EnergyParts(0.01, 5.0)])
    assert among[0] < among[1]


def test_a_pool_of_equals_or_of_none() -> None:
    assert ncti([CollapseParts(1.0, 1.0, 1.0)] * 2) == (0.0, 0.0)
    assert etran([]) == ()
