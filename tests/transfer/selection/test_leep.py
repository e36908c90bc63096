"""LEEP, NCE and N-LEEP against loops, entropies and scikit-learn."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import mutual_info_score
from sklearn.mixture import GaussianMixture
from torch import Tensor

from transfer.errors import UserError
from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.leep import leep
from transfer.selection.scores.nce import nce
from transfer.selection.scores.nleep import nleep

Clusters = Callable[..., tuple[Tensor, Tensor]]


def _source(n_rows: int, n_source: int, seed: int, n_classes: int = 3) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    shares = torch.tensor(random.dirichlet(np.full(n_source, 0.3), n_rows))
    return shares, torch.tensor(random.permutation(np.arange(n_rows) % n_classes))


def test_leep_by_hand() -> None:
    shares, labels = _source(12, 4, seed=0)
    total = 0.0
    for row, label in enumerate(labels):
        likelihood = 0.0
        for z in range(4):
            together = sum(float(shares[other, z]) for other in range(12) if labels[other] == label)
            likelihood += together / float(shares[:, z].sum()) * float(shares[row, z])
        total += math.log(likelihood)
    assert leep(shares, labels) == pytest.approx(total / 12, rel=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_nce_is_information_less_entropy(seed: int) -> None:
    shares, labels = _source(60, 8, seed)
    counts = np.bincount(labels) / 60
    expected = mutual_info_score(labels, shares.argmax(1)) + float((counts * np.log(counts)).sum())
    assert nce(shares, labels) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_nce_is_leep_of_a_source_that_is_certain(seed: int) -> None:
    shares, labels = _source(60, 8, seed)
    certain = torch.nn.functional.one_hot(shares.argmax(1), 8).double()
    assert leep(certain, labels) == pytest.approx(nce(shares, labels), abs=1e-12)
    assert -math.log(3) - 1e-12 <= nce(shares, labels) <= 0
    assert leep(shares, labels) <= 0


def test_a_source_that_knows_the_labels_scores_nothing_less_than_0() -> None:
    labels = torch.arange(12) % 3
    known = torch.nn.functional.one_hot(labels + 1, 7).float()
    assert (leep(known, labels), nce(known, labels)) == pytest.approx((0.0, 0.0))


def test_a_source_that_says_nothing_scores_the_entropy_of_the_labels() -> None:
    labels = torch.arange(12) % 3
    assert leep(torch.full((12, 5), 0.2), labels) == pytest.approx(-math.log(3), rel=1e-6)


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        (torch.full((3, 2), 0.5), "do not fit 4 labels"),
        (torch.ones(4, 2), "sum to 1"),
        (torch.tensor([[1.5, -0.5]]).repeat(4, 1), "at least 0"),
        (torch.full((4, 2), torch.nan), "finite"),
    ],
)
@pytest.mark.parametrize("score", [leep, nce])
def test_what_is_no_share_of_classes_is_refused(
    score: Callable[[Tensor, Tensor], float], shares: Tensor, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        score(shares, torch.tensor([0, 0, 1, 1]))


def test_nleep_is_leep_of_scikit_learns_mixture(clusters: Clusters) -> None:
    features, labels = clusters(150, 10, spread=1.0)
    reduced = PCA(0.8, svd_solver="full").fit_transform(features.numpy())
    mixture = GaussianMixture(15, random_state=3).fit(reduced)
    expected = leep(torch.from_numpy(mixture.predict_proba(reduced)), labels)
    found = nleep(Decomposition.of(features, labels), seed=3)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found == nleep(Decomposition.of(features, labels), seed=3)


def test_nleep_tells_clusters_from_noise(clusters: Clusters) -> None:
    labels = clusters(150, 4)[1]
    noise = torch.tensor(np.random.default_rng(0).normal(size=(150, 4)))
    apart = nleep(Decomposition.of(clusters(150, 4, spread=0.2)[0], labels), seed=0)
    assert apart > nleep(Decomposition.of(noise, labels), seed=0) + 0.3


def test_nleep_of_constant_features_is_the_entropy_of_the_labels() -> None:
    labels = torch.arange(12) % 3
    assert nleep(Decomposition.of(torch.full((12, 4), 2.0), labels), seed=0) == pytest.approx(-math.log(3), rel=1e-6)
