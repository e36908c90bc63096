"""k-NN leave-one-out accuracy against scikit-learn refitted without each row, and what must not change it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from transfer.errors import UserError
from transfer.selection.scores import knn
from transfer.selection.scores.knn import knn_loo_accuracy


def _clusters(
    n_rows: int, n_classes: int, width: int = 12, spread: float = 1.0, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, n_classes, n_rows)
    centres = random.normal(size=(n_classes, width))
    features = centres[labels] + spread * random.normal(size=(n_rows, width))
    return torch.tensor(features, dtype=torch.float32), torch.tensor(labels)


def _refitted(features: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    right = 0
    for row in range(len(labels)):
        others = np.arange(len(labels)) != row
        fitted = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(features[others], labels[others])
        right += int(fitted.predict(features[row : row + 1])[0] == labels[row])
    return right / len(labels)


@pytest.mark.parametrize(("k", "n_classes"), [(1, 4), (5, 2), (9, 2)])
def test_it_is_what_refitting_without_each_row_gives(k: int, n_classes: int) -> None:
    features, labels = _clusters(60, n_classes, spread=1.6)
    expected = _refitted(features, labels, k)
    assert 0.3 < expected < 1.0
    assert knn_loo_accuracy(features, labels, k) == pytest.approx(expected, abs=1e-9)


def test_chunks_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = _clusters(97, 5, spread=1.5)
    whole = knn_loo_accuracy(features, labels, 5)
    monkeypatch.setattr(knn, "_CHUNK_ROWS", 10)
    assert knn_loo_accuracy(features, labels, 5) == whole


@pytest.mark.parametrize("k", [2, 4, 5])
def test_of_equal_votes_the_class_of_the_most_similar_row_wins(k: int) -> None:
    features, labels = _clusters(80, 4, spread=1.5)
    unit = (features / features.norm(dim=1, keepdim=True)).double()
    right, n_ties = 0, 0
    for row in range(len(labels)):
        others = sorted(set(range(len(labels))) - {row}, key=lambda other: -float(unit[row] @ unit[other]))
        voters = [int(labels[other]) for other in others[:k]]
        winners = {label for label in voters if voters.count(label) == max(map(voters.count, voters))}
        n_ties += len(winners) > 1
        right += next(label for label in voters if label in winners) == int(labels[row])
    assert n_ties >= 3
    assert knn_loo_accuracy(features, labels, k) == pytest.approx(right / len(labels))


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_rotating_and_scaling_the_features_changes_nothing(seed: int, scale: float) -> None:
    features, labels = _clusters(40, 3, seed=seed)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(12, 12)))[0]
    turned = scale * features.double() @ torch.tensor(rotation)
    assert knn_loo_accuracy(turned, labels, 1) == pytest.approx(knn_loo_accuracy(features, labels, 1), abs=0.03)


@settings(max_examples=20)
@given(st.permutations(range(30)))
def test_the_order_of_rows_changes_nothing(order: list[int]) -> None:
    features, labels = _clusters(30, 3)
    assert knn_loo_accuracy(features[order], labels[order], 3) == knn_loo_accuracy(features, labels, 3)


def test_more_neighbours_than_rows_are_as_many_as_there_are() -> None:
    features, labels = _clusters(10, 2)
    assert knn_loo_accuracy(features, labels, 500) == knn_loo_accuracy(features, labels, 9)


def test_a_class_of_its_own_row_is_never_right() -> None:
    assert knn_loo_accuracy(torch.eye(4), torch.arange(4), 1) == 0.0


@pytest.mark.parametrize(
    ("features", "labels", "sentence"),
    [
        (torch.ones(1, 3), torch.zeros(1, dtype=torch.int64), "1 rows with 1 labels cannot be scored"),
        (torch.ones(3, 3), torch.zeros(2, dtype=torch.int64), "3 rows with 2 labels"),
        (torch.tensor([[1.0], [float("nan")]]), torch.zeros(2, dtype=torch.int64), "not finite"),
    ],
)
def test_what_cannot_be_scored_is_refused(features: torch.Tensor, labels: torch.Tensor, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        knn_loo_accuracy(features, labels, 1)
