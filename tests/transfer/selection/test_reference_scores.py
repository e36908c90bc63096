"""Scores against the authors' own code, and what that code does where it is not followed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from torch import Tensor

from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.etran import energy, energy_parts
from transfer.selection.scores.hscore import hscore, shrunk_hscore
from transfer.selection.scores.leep import leep
from transfer.selection.scores.logme import logme
from transfer.selection.scores.nce import nce
from transfer.selection.scores.ncti import collapse_parts
from transfer.selection.scores.parc import distance_correlation
from transfer.selection.scores.sfda import sfda
from transfer.selection.scores.transrate import transrate

INPUTS = ("digits64", "relu256", "relu256_first200")


@pytest.fixture(scope="module")
def decompositions(reference_inputs: dict[str, Any]) -> dict[str, Decomposition]:
    """Decompose each input once."""
    return {name: Decomposition.of(inputs.features, inputs.labels) for name, inputs in reference_inputs.items()}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize(
    ("score", "close"),
    [(logme, 1e-4), (hscore, 1e-6), (shrunk_hscore, 1e-6), (transrate, 1e-6), (sfda, 1e-6)],
)
def test_a_score_of_features_is_the_authors(
    reference: dict[str, Any],
    decompositions: dict[str, Decomposition],
    name: str,
    score: Callable[[Decomposition], float],
    close: float,
) -> None:
    found = score(decompositions[name])
    assert found == pytest.approx(reference[name][score.__name__], rel=close)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("score", [leep, nce])
def test_a_score_of_source_probabilities_is_the_authors(
    reference: dict[str, Any],
    reference_inputs: dict[str, Any],
    name: str,
    score: Callable[[Tensor, Tensor], float],
) -> None:
    inputs = reference_inputs[name]
    found = score(inputs.probabilities, inputs.labels)
    assert found == pytest.approx(reference[name][score.__name__], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("digits64", 1e-6),
        ("relu256_first200", 1e-6),
        ("relu256", 3e-3),  # there the authors' code approximates the directions, from a start drawn at random
    ],
)
def test_the_parts_of_ncti_are_the_authors(
    reference: dict[str, Any],
    decompositions: dict[str, Decomposition],
    name: str,
    close: float,
) -> None:
    parts = collapse_parts(decompositions[name])
    assert [parts.spread, parts.nearest, parts.variability] == pytest.approx(reference[name]["ncti"], rel=close)


def test_the_energy_is_the_authors(reference: dict[str, Any], reference_inputs: dict[str, Any]) -> None:
    assert energy(reference_inputs["digits64"].logits) == pytest.approx(reference["digits64"]["etran_energy"], rel=1e-6)


@pytest.mark.parametrize("name", INPUTS)
def test_parc_of_the_authors_counts_rounding_as_a_difference_of_labels(
    reference: dict[str, Any], reference_inputs: dict[str, Any], name: str
) -> None:
    """The label distances of their code are 0, 2e-16 and 1.1: pairs of one class are ranked by rounding."""
    inputs = reference_inputs[name]
    approximate = PCA(32, svd_solver="randomized", random_state=1919, iterated_power=1)
    rows = approximate.fit_transform(inputs.features.numpy())
    standard = (rows - rows.mean(0)) / rows.std(0)
    pairs = np.triu_indices(len(rows), 1)
    distances = 1 - np.corrcoef(standard)[pairs]
    apart = 1 - np.corrcoef(np.eye(10)[inputs.labels.numpy()])[pairs]
    found = distance_correlation(torch.from_numpy(rows), inputs.labels)
    assert found == pytest.approx(spearmanr(distances, apart.round(9)).statistic, rel=1e-6)
    assert 100 * found == pytest.approx(reference[name]["parc"], rel=5e-3)


@pytest.mark.parametrize("name", INPUTS)
def test_the_discriminant_analysis_of_etrans_authors_knows_no_covariance(
    reference: dict[str, Any],
    reference_inputs: dict[str, Any],
    decompositions: dict[str, Decomposition],
    name: str,
) -> None:
    """Their eigenvectors are those of a symmetric solver, orthonormal, so that the scatter drops out."""
    rows, labels = reference_inputs[name].features.numpy(), reference_inputs[name].labels.numpy()
    means = np.stack([rows[labels == label].mean(0) for label in range(10)])
    scores = rows @ means.T - 0.5 * (means**2).sum(1) + np.log(np.bincount(labels) / len(labels))
    right = softmax(scores, axis=1)[np.arange(len(labels)), labels].mean()
    assert right == pytest.approx(reference[name]["etran_lda"], rel=1e-9)
    found = energy_parts(decompositions[name]).classification
    assert found > reference[name]["etran_lda"] + 0.2


def test_logme_of_the_authors_adds_directions_that_do_not_exist(
    reference: dict[str, Any], reference_inputs: dict[str, Any], decompositions: dict[str, Decomposition]
) -> None:
    """With N < D their default keeps D/2 log alpha, and so adds (D - N) / 2N times the mean of log alpha."""
    rows, labels = reference_inputs["relu256_first200"].features.numpy(), reference_inputs["relu256_first200"].labels
    gram = rows @ rows.T
    logs = []
    for label in range(10):
        target = (labels == label).double().numpy()
        strength, beta = _fixed_point(gram, target)
        logs.append(np.log(strength * beta))
    spurious = (256 - 200) / (2 * 200) * np.mean(logs)
    found = logme(decompositions["relu256_first200"])
    assert found + spurious == pytest.approx(reference["relu256_first200"]["logme_default"], rel=1e-3)


def _fixed_point(gram: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Return lambda and beta of one class by MacKay's updates on the eigenvalues of F F'."""
    power, left = np.linalg.eigh(gram)
    along, strength, beta = (left.T @ target) ** 2, 1.0, 1.0
    for _ in range(200):
        used = (power / (power + strength)).sum()
        weights = (power * along / (power + strength) ** 2).sum()
        residual = (along * (strength / (power + strength)) ** 2).sum()
        alpha, beta = used / weights, (len(target) - used) / residual
        strength = alpha / beta
    return strength, beta
