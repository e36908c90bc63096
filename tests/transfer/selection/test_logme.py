"""LogME against the evidence maximised directly, for every shape, and what must not change it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from torch import Tensor

from transfer.errors import UserError
from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.logme import logme

Clusters = Callable[..., tuple[Tensor, Tensor]]


def score(features: Tensor, labels: Tensor) -> float:
    return logme(Decomposition.of(features, labels))


def _best_evidence(features: np.ndarray, target: np.ndarray) -> float:
    """Maximise log N(t; 0, 1/beta + F F'/alpha) over alpha and beta, from several starts."""

    def loss(logs: np.ndarray) -> float:
        covariance = np.exp(-logs[1]) * np.eye(len(target)) + np.exp(-logs[0]) * features @ features.T
        return -float(multivariate_normal(np.zeros(len(target)), covariance).logpdf(target))

    starts = [(0.0, 0.0), (2.0, 2.0), (4.0, 1.0)]
    return -min(minimize(loss, start, method="Nelder-Mead", options={"fatol": 1e-9}).fun for start in starts)


@pytest.mark.parametrize(("n_rows", "width"), [(40, 6), (25, 40), (20, 20), (20, 19)])
def test_it_is_the_evidence_maximised_directly(clusters: Clusters, n_rows: int, width: int) -> None:
    features, labels = clusters(n_rows, width)
    expected = [_best_evidence(features.numpy(), (labels == label).double().numpy()) for label in range(3)]
    assert score(features, labels) == pytest.approx(np.mean(expected) / n_rows, rel=1e-5)


def test_features_of_less_than_full_rank_are_the_evidence_too(clusters: Clusters) -> None:
    features, labels = clusters(30, 4)
    flat = torch.cat([features, features[:, :1] + features[:, 1:2]], 1)
    expected = [_best_evidence(flat.numpy(), (labels == label).double().numpy()) for label in range(3)]
    assert score(flat, labels) == pytest.approx(np.mean(expected) / 30, rel=1e-5)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.sampled_from([(40, 8), (20, 30)]))
def test_turning_scaling_and_repeating_the_features_changes_nothing(
    clusters: Clusters, seed: int, scale: float, shape: tuple[int, int]
) -> None:
    features, labels = clusters(*shape, seed=seed)
    rotation = torch.tensor(np.linalg.qr(np.random.default_rng(seed).normal(size=(shape[1], shape[1])))[0])
    turned = scale * features @ rotation
    expected = score(features, labels)
    assert score(turned, labels) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert score(torch.cat([turned, turned], 1), labels) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_features_of_zeros_leave_noise_alone() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    expected = np.mean([-0.5 * (np.log(2 * np.pi * share) + 1) for share in (3 / 4, 1 / 4)])
    assert score(torch.zeros(4, 3), labels) == pytest.approx(expected)


def test_constant_features_are_an_intercept(clusters: Clusters) -> None:
    _, labels = clusters(30, 2)
    constant = torch.full((30, 4), 7.0, dtype=torch.float64)
    expected = [_best_evidence(constant.numpy(), (labels == label).double().numpy()) for label in range(3)]
    assert score(constant, labels) == pytest.approx(np.mean(expected) / 30, rel=1e-4)


def test_classes_that_lie_apart_score_higher(clusters: Clusters) -> None:
    near, far = (clusters(60, 8, spread=spread) for spread in (3.0, 0.5))
    assert score(*far) > score(*near) + 0.1


def test_one_class_is_refused() -> None:
    with pytest.raises(UserError, match="1 class cannot be scored"):
        score(torch.eye(4), torch.zeros(4, dtype=torch.int64))
