"""H-score against its definition, the Ledoit-Wolf share against scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf
from torch import Tensor

from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.hscore import hscore, ledoit_wolf_shrinkage, shrunk_hscore

Clusters = Callable[..., tuple[Tensor, Tensor]]
SHAPES = [(40, 6), (25, 40), (20, 20)]


def _class_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.stack([features[labels == label].mean(0) for label in labels])


@pytest.mark.parametrize(("n_rows", "width"), SHAPES)
def test_it_is_the_trace_of_its_definition(clusters: Clusters, n_rows: int, width: int) -> None:
    features, labels = clusters(n_rows, width)
    between = np.cov(_class_means(features.numpy(), labels.numpy()).T)
    expected = np.trace(np.linalg.pinv(np.cov(features.numpy().T), rcond=1e-10) @ between)
    assert hscore(Decomposition.of(features, labels)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n_rows", "width"), SHAPES)
def test_the_shrunk_form_is_that_of_scikit_learns_covariance(clusters: Clusters, n_rows: int, width: int) -> None:
    features, labels = clusters(n_rows, width)
    found = LedoitWolf().fit(features.numpy())
    between = np.cov(_class_means(features.numpy(), labels.numpy()).T)
    expected = (1 - found.shrinkage_) * np.trace(np.linalg.solve(found.covariance_, between))
    assert ledoit_wolf_shrinkage(Decomposition.of(features, labels)) == pytest.approx(found.shrinkage_, rel=1e-8)
    assert shrunk_hscore(Decomposition.of(features, labels)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_with_fewer_rows_than_features_only_the_shrunk_form_says_something(clusters: Clusters, seed: int) -> None:
    noise = torch.tensor(np.random.default_rng(seed).normal(size=(30, 50)))
    features, labels = clusters(30, 50, spread=0.3, seed=seed)
    saturated = [hscore(Decomposition.of(rows, labels)) for rows in (noise, features)]
    assert saturated == pytest.approx([2.0, 2.0], rel=1e-9)
    assert shrunk_hscore(Decomposition.of(features, labels)) > shrunk_hscore(Decomposition.of(noise, labels)) + 0.5


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.sampled_from([(40, 8), (20, 30)]))
def test_turning_scaling_moving_and_repeating_the_features_changes_nothing(
    clusters: Clusters, seed: int, scale: float, shape: tuple[int, int]
) -> None:
    features, labels = clusters(*shape, seed=seed)
    rotation = torch.tensor(np.linalg.qr(np.random.default_rng(seed).normal(size=(shape[1], shape[1])))[0])
    turned = scale * (features @ rotation) + 2.0
    before, after = Decomposition.of(features, labels), Decomposition.of(turned, labels)
    expected = hscore(before)
    assert hscore(after) == pytest.approx(expected, rel=1e-6)
    assert hscore(Decomposition.of(torch.cat([turned, turned], 1), labels)) == pytest.approx(expected, rel=1e-6)
    assert shrunk_hscore(after) == pytest.approx(shrunk_hscore(before), rel=1e-6)
    assert 0 <= expected <= 2 + 1e-9


def test_features_without_variance_score_nothing() -> None:
    constant = Decomposition.of(torch.full((6, 4), 7.3), torch.tensor([0, 0, 0, 1, 1, 1]))
    assert (hscore(constant), shrunk_hscore(constant)) == (0.0, 0.0)
