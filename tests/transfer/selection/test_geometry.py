"""TransRate, GBC and PARC against determinants, integrals and scipy's rank correlation."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm, spearmanr
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from transfer.errors import UserError
from transfer.selection.decomposition import Decomposition
from transfer.selection.scores import parc as parc_module
from transfer.selection.scores.gbc import gbc
from transfer.selection.scores.parc import parc
from transfer.selection.scores.transrate import transrate

Clusters = Callable[..., tuple[Tensor, Tensor]]


def _rate(rows: np.ndarray) -> float:
    return 0.5 * np.linalg.slogdet(np.eye(rows.shape[1]) + rows.T @ rows / (len(rows) * 1e-4))[1]


@pytest.mark.parametrize(("n_rows", "width"), [(60, 6), (30, 50)])
def test_transrate_is_a_difference_of_determinants(clusters: Clusters, n_rows: int, width: int) -> None:
    features, labels = (part.numpy() for part in clusters(n_rows, width))
    labels[: n_rows // 4] = 0  # classes of unequal size
    centred = features - features.mean(0)
    plain = _rate(centred) - np.mean([_rate(centred[labels == label]) for label in range(3)])
    decomposition = Decomposition.of(torch.from_numpy(features), torch.from_numpy(labels))
    assert transrate(decomposition) == pytest.approx(plain, rel=1e-9)
    unit = centred / np.linalg.norm(centred)
    parts = [(labels == label).mean() * _rate(unit[labels == label]) for label in range(3)]
    expected = _rate(unit) - np.sum(parts)
    assert transrate(decomposition, scaled=True) == pytest.approx(expected, rel=1e-9)


def test_only_scaled_transrate_does_not_grow_with_the_features(clusters: Clusters) -> None:
    features, labels = clusters(60, 6)
    small, large = Decomposition.of(0.01 * features, labels), Decomposition.of(features, labels)
    assert transrate(large, scaled=True) == pytest.approx(transrate(small, scaled=True), rel=1e-9)
    assert abs(transrate(large) - transrate(small)) > 0.1


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the integral of the root of the product of two normal densities."""
    one, two = (norm(rows.mean(), max(rows.var(ddof=1), 1e-4) ** 0.5) for rows in (first, second))
    return quad(lambda x: (one.pdf(x) * two.pdf(x)) ** 0.5, -30, 30, limit=200)[0]


def test_gbc_is_the_integral_of_the_overlap(clusters: Clusters) -> None:
    features, labels = clusters(60, 1, spread=1.0)
    groups = [features[labels == label, 0].numpy() for label in range(3)]
    expected = -sum(_overlap(*pair) for pair in itertools.permutations(groups, 2))
    decomposition = Decomposition.of(features, labels)
    assert gbc(decomposition) == pytest.approx(expected, rel=1e-6)
    assert gbc(decomposition, spherical=True) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("spherical", [False, True])
def test_gbc_in_more_dimensions_is_the_formula_of_the_paper(clusters: Clusters, spherical: bool) -> None:
    features, labels = clusters(60, 4)
    rows = np.linalg.svd(features.numpy() - features.numpy().mean(0), full_matrices=False)
    rows = rows[0] * rows[1]
    expected = 0.0
    for one, two in itertools.permutations(range(3), 2):
        means = [rows[labels.numpy() == label].mean(0) for label in (one, two)]
        variances = [rows[labels.numpy() == label].var(0, ddof=1) for label in (one, two)]
        first, second = (np.diag(np.full(4, v.mean()) if spherical else v) for v in variances)
        middle = (first + second) / 2
        apart = (means[0] - means[1]) @ np.linalg.solve(middle, means[0] - means[1]) / 8
        volume = 0.5 * np.log(np.linalg.det(middle) / np.sqrt(np.linalg.det(first) * np.linalg.det(second)))
        expected -= np.exp(-apart - volume)
    assert gbc(Decomposition.of(features, labels), spherical=spherical) == pytest.approx(expected, rel=1e-8)


def test_gbc_lies_between_no_overlap_and_full_overlap() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2])
    assert gbc(Decomposition.of(torch.full((5, 3), 4.0), labels)) == pytest.approx(-6.0)
    apart = 100.0 * torch.eye(3)[labels] + 0.001 * torch.arange(5)[:, None]
    assert gbc(Decomposition.of(apart, labels)) == pytest.approx(0.0, abs=1e-12)


def test_parc_is_scipys_correlation(clusters: Clusters) -> None:
    features, labels = clusters(50, 8)
    rows = StandardScaler().fit_transform(PCA(svd_solver="full").fit_transform(features.numpy()))
    pairs = np.triu_indices(50, 1)
    differ = labels.numpy()[pairs[0]] != labels.numpy()[pairs[1]]
    expected = spearmanr(1 - np.corrcoef(rows)[pairs], differ).statistic
    assert parc(Decomposition.of(features, labels)) == pytest.approx(expected, rel=1e-8)


def test_parc_takes_rows_of_every_class_where_there_are_many(
    clusters: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = clusters(400, 8, spread=0.5)
    order = labels.argsort()  # the first hundred rows are of one class
    features, labels = features[order], labels[order]
    whole = parc(Decomposition.of(features, labels))
    monkeypatch.setattr(parc_module, "_MOST_ROWS", 100)
    assert parc(Decomposition.of(features, labels)) == pytest.approx(whole, abs=0.05)
    assert parc(Decomposition.of(features, labels)) != whole


def test_parc_of_features_without_variance_is_0() -> None:
    assert parc(Decomposition.of(torch.full((6, 3), 2.0), torch.tensor([0, 0, 0, 1, 1, 1]))) == 0.0


def test_rows_each_of_its_own_class_are_refused_by_parc() -> None:
    with pytest.raises(UserError, match="each of its own"):
        parc(Decomposition.of(torch.eye(4), torch.arange(4)))


@settings(max_examples=15)
@given(st.integers(0, 100))
def test_turning_and_moving_the_features_changes_nothing(clusters: Clusters, seed: int) -> None:
    features, labels = clusters(40, 6, seed=seed)
    rotation = torch.tensor(np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0])
    before, after = (Decomposition.of(rows, labels) for rows in (features, features @ rotation - 3.0))
    for score in (transrate, gbc):
        assert score(after) == pytest.approx(score(before), rel=1e-6)
