"""Closed-form leave-one-out ridge against scikit-learn refitted without each row, and what must not change it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV

from transfer.errors import UserError
from transfer.metrics.ridge import _RELATIVE_STRENGTHS, RidgePath
from transfer.selection.scores.ridge import ridge_without_one


def ridge_loo_accuracy(features: torch.Tensor, labels: torch.Tensor) -> float:
    return float((ridge_without_one(features, labels).scores.argmax(1) == labels).double().mean())


def _rows(n_rows: int, width: int, n_classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    labels = np.arange(n_rows) % n_classes
    features = 3.0 + random.normal(size=(n_classes, width))[labels] + 1.5 * random.normal(size=(n_rows, width))
    return torch.tensor(features), torch.tensor(labels)


@pytest.mark.parametrize(("n_rows", "width"), [(40, 8), (25, 60), (30, 30)])
def test_it_is_what_refitting_without_each_row_gives(n_rows: int, width: int) -> None:
    features, labels = _rows(n_rows, width)
    targets = torch.nn.functional.one_hot(labels).double().numpy()
    found = ridge_without_one(features, labels)
    expected = np.empty_like(targets)
    for row in range(n_rows):
        others = np.arange(n_rows) != row
        fitted = Ridge(alpha=found.strength).fit(features[others].numpy(), targets[others])
        expected[row] = fitted.predict(features[row : row + 1].numpy())[0]
    np.testing.assert_allclose(found.scores.numpy(), expected, rtol=1e-6, atol=1e-8)
    assert ridge_loo_accuracy(features, labels) == np.mean(expected.argmax(1) == labels.numpy())
    assert found.error == pytest.approx(((expected - targets) ** 2).sum(1).mean(), rel=1e-6)


@pytest.mark.parametrize(("n_rows", "width"), [(60, 8), (30, 50)])
def test_the_strength_is_the_one_with_the_smallest_squared_error(n_rows: int, width: int) -> None:
    features, labels = _rows(n_rows, width)
    targets = torch.nn.functional.one_hot(labels).double().numpy()
    centred = features - features.mean(0)
    scale = float(centred.square().sum()) / min(n_rows, width)
    chosen = RidgeCV([relative * scale for relative in _RELATIVE_STRENGTHS]).fit(features.numpy(), targets).alpha_
    assert ridge_without_one(features, labels).strength == pytest.approx(chosen)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.sampled_from([(40, 8), (20, 30)]))
def test_rotating_scaling_and_moving_the_features_changes_nothing(
    seed: int, scale: float, shape: tuple[int, int]
) -> None:
    features, labels = _rows(*shape, seed=seed)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(shape[1], shape[1])))[0]
    turned = scale * (features @ torch.tensor(rotation)) + 5.0
    found, expected = ridge_without_one(turned, labels).scores, ridge_without_one(features, labels).scores
    # A row may leave a millionth of itself to the fit to all others; dividing by that enlarges rounding as much.
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_features_that_say_nothing_score_no_better_than_chance() -> None:
    labels = torch.arange(200) % 2
    features = torch.tensor(np.random.default_rng(0).normal(size=(200, 5)))
    assert ridge_loo_accuracy(features, labels) < 0.6


def test_classes_that_lie_apart_are_told_apart() -> None:
    labels = torch.arange(60) % 3
    features = torch.nn.functional.one_hot(labels).double() + 0.01 * torch.tensor(
        np.random.default_rng(0).normal(size=(60, 3))
    )
    assert ridge_loo_accuracy(features, labels) == 1.0


@pytest.mark.parametrize("features", [torch.zeros(6, 4), torch.full((6, 4), 7.0)])
def test_constant_features_are_scored_without_a_warning(features: torch.Tensor) -> None:
    assert 0.0 <= ridge_loo_accuracy(features, torch.tensor([0, 0, 0, 0, 1, 1])) <= 1.0


@settings(max_examples=20)
@given(st.permutations(range(30)))
def test_the_order_of_rows_changes_nothing(order: list[int]) -> None:
    features, labels = _rows(30, 10)
    assert ridge_loo_accuracy(features[order], labels[order]) == ridge_loo_accuracy(features, labels)


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UserError, match="not finite"):
        ridge_loo_accuracy(torch.tensor([[1.0], [float("inf")]]), torch.tensor([0, 1]))


@pytest.mark.parametrize(("n_rows", "width"), [(40, 8), (25, 60), (30, 30)])
@pytest.mark.parametrize("place", [0, 6, 12])
def test_the_fit_to_all_rows_is_scikit_learns(n_rows: int, width: int, place: int) -> None:
    features, labels = _rows(n_rows, width)
    path = RidgePath(features, labels, 3)
    strength = path.strengths()[place]
    weight, bias = path.fitted(strength)
    theirs = Ridge(alpha=strength).fit(features.numpy(), path.targets.numpy())
    assert torch.allclose(weight, torch.from_numpy(theirs.coef_), atol=1e-7)
    assert torch.allclose(bias, torch.from_numpy(theirs.intercept_), atol=1e-6)


@pytest.mark.parametrize(("n_rows", "width"), [(40, 8), (25, 60)])
def test_weighted_rows_are_what_scikit_learn_gives_without_each_of_them(n_rows: int, width: int) -> None:
    features, labels = _rows(n_rows, width)
    weights = torch.tensor(np.random.default_rng(1).uniform(0.2, 3.0, n_rows))
    path = RidgePath(features, labels, 3, weights)
    strength, scaled = path.strengths()[6], (weights / weights.mean()).numpy()
    expected = np.empty((n_rows, 3))
    for row in range(n_rows):
        others = np.arange(n_rows) != row
        fitted = Ridge(alpha=strength).fit(features[others].numpy(), path.targets[others].numpy(), scaled[others])
        expected[row] = fitted.predict(features[row : row + 1].numpy())[0]
    np.testing.assert_allclose(path.without_one(strength).numpy(), expected, rtol=1e-6, atol=1e-8)
    whole = Ridge(alpha=strength).fit(features.numpy(), path.targets.numpy(), scaled)
    weight, bias = path.fitted(strength)
    np.testing.assert_allclose(weight.numpy(), whole.coef_, atol=1e-8)
    np.testing.assert_allclose(bias.numpy(), whole.intercept_, atol=1e-8)


def test_equal_weights_change_nothing() -> None:
    features, labels = _rows(30, 10)
    plain, weighted = RidgePath(features, labels, 3), RidgePath(features, labels, 3, torch.full((30,), 2.0))
    torch.testing.assert_close(plain.without_one(1.0), weighted.without_one(1.0))
