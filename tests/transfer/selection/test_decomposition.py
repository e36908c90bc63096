"""One decomposition of the features serves every score that can share it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from transfer.errors import UserError
from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.etran import energy_parts
from transfer.selection.scores.gbc import gbc
from transfer.selection.scores.hscore import hscore, shrunk_hscore
from transfer.selection.scores.logme import logme
from transfer.selection.scores.ncti import collapse_parts
from transfer.selection.scores.nleep import nleep
from transfer.selection.scores.parc import parc
from transfer.selection.scores.ridge import ridge_loo_accuracy, ridge_without_one
from transfer.selection.scores.sfda import sfda
from transfer.selection.scores.transrate import transrate

Clusters = Callable[..., tuple[Tensor, Tensor]]
SCORES: dict[str, Callable[[Decomposition], float]] = {
    "logme": logme,
    "hscore": hscore,
    "shrunk_hscore": shrunk_hscore,
    "ridge": ridge_loo_accuracy,
    "sfda": sfda,
    "transrate": transrate,
    "gbc": gbc,
    "parc": parc,
    "nleep": lambda rows: nleep(rows, seed=0),
    "ncti": lambda rows: collapse_parts(rows).nearest,
    "etran": lambda rows: energy_parts(rows).classification,
}
FACTORISATIONS = ("eigh", "eigvalsh", "svd", "svdvals", "qr", "eig", "pinv", "lstsq")


@pytest.mark.parametrize("shape", [(90, 70), (70, 90)])
def test_the_features_are_decomposed_once_for_all_scores(
    clusters: Clusters, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    features, labels = clusters(*shape)
    large = []

    def counted(name: str) -> Callable[..., Any]:
        plain = getattr(torch.linalg, name)

        def count(values: Tensor, *rest: Any, **options: Any) -> Any:
            if min(values.shape) >= min(shape) - 1:
                large.append(name)
            return plain(values, *rest, **options)

        return count

    for name in FACTORISATIONS:
        monkeypatch.setattr(torch.linalg, name, counted(name))
    decomposition = Decomposition.of(features, labels)
    values = {name: score(decomposition) for name, score in SCORES.items()}
    assert all(np.isfinite(value) for value in values.values()), values
    assert large == ["eigh"]


@pytest.mark.parametrize("name", sorted(SCORES.keys() - {"nleep"}))  # its mixture begins at rows drawn by their place
def test_the_order_of_rows_and_the_names_of_classes_change_nothing(clusters: Clusters, name: str) -> None:
    features, labels = clusters(60, 8)
    order = torch.tensor(np.random.default_rng(0).permutation(60))
    renamed = torch.tensor([7, 2, 4])[labels]  # gaps, and another order
    expected = SCORES[name](Decomposition.of(features, labels))
    found = SCORES[name](Decomposition.of(features[order], renamed[order]))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_features_in_float32_score_as_in_float64(clusters: Clusters, name: str) -> None:
    features, labels = clusters(60, 8)
    found = SCORES[name](Decomposition.of(features.float(), labels))
    assert found == pytest.approx(SCORES[name](Decomposition.of(features.float().double(), labels)), rel=1e-9)


def test_labels_that_no_score_can_use_are_refused(clusters: Clusters) -> None:
    features = clusters(20, 4)[0]
    with pytest.raises(UserError, match="1 class cannot be scored"):
        Decomposition.of(features, torch.zeros(20, dtype=torch.int64))
    with pytest.raises(UserError, match="20 rows with 3 labels"):
        Decomposition.of(features, torch.tensor([0, 1, 1]))


@pytest.mark.parametrize(("n_rows", "width"), [(40, 8), (8, 40), (20, 20)])
def test_it_is_numpys_singular_value_decomposition(clusters: Clusters, n_rows: int, width: int) -> None:
    rows, labels = clusters(n_rows, width)
    decomposition = Decomposition.of(rows, labels)
    expected = np.linalg.svd(rows.numpy() - rows.numpy().mean(0), compute_uv=False)[::-1]
    components, power = decomposition.leading()
    assert decomposition.rank == min(n_rows - 1, width)
    np.testing.assert_allclose(power.sqrt().numpy(), expected[-decomposition.rank :], rtol=1e-9)
    np.testing.assert_allclose((components @ components.T).numpy(), (decomposition.centred @ decomposition.centred.T))
    assert torch.equal(decomposition.leading(3)[0], components[:, -3:])


def test_directions_that_are_rounding_do_not_count(clusters: Clusters) -> None:
    rows, labels = clusters(40, 4)
    repeated = torch.cat([rows, rows @ torch.ones(4, 6, dtype=torch.float64), torch.full((40, 2), 1e3)], 1)
    assert Decomposition.of(repeated, labels).rank == 4
    assert Decomposition.of(torch.full((40, 5), 1e6 / 3), labels).rank == 0


@pytest.mark.parametrize("shape", [(60, 8), (20, 30)])
def test_ridge_from_the_decomposition_is_ridge_from_the_features(clusters: Clusters, shape: tuple[int, int]) -> None:
    features, labels = clusters(*shape)
    expected = (ridge_without_one(features, labels).scores.argmax(1) == labels).double().mean()
    assert ridge_loo_accuracy(Decomposition.of(features, labels)) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        (torch.ones(1, 3), r"shape \(1, 3\) cannot be scored"),
        (torch.ones(3, 0), r"shape \(3, 0\)"),
        (torch.ones(3), r"shape \(3,\)"),
        (torch.tensor([[1.0], [torch.nan]]), "not finite"),
    ],
)
def test_what_cannot_be_decomposed_is_refused(features: Tensor, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Decomposition.of(features, torch.arange(len(features)) % 2)
