"""The linear probe against scikit-learn's own cross-validation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from transfer.errors import UserError
from transfer.heads.rows import folds
from transfer.selection.scores.probe import linear_probe

Clusters = Callable[..., tuple[Tensor, Tensor]]


@pytest.mark.parametrize("shape", [(120, 8), (40, 60)])
def test_it_is_scikit_learns_accuracy_on_the_same_folds(clusters: Clusters, shape: tuple[int, int]) -> None:
    features, labels = clusters(*shape, spread=2.0)
    part_of = torch.empty(shape[0], dtype=torch.int64)
    for place, rows in enumerate(folds(labels, 5, seed=4)):
        part_of[rows] = place
    rows, splits = StandardScaler().fit_transform(features.numpy()), PredefinedSplit(part_of.numpy())
    judged = []
    for strength in (1e-3, 1e-2, 1e-1, 1.0):
        model = LogisticRegression(C=strength, max_iter=1000)
        shares = cross_val_predict(model, rows, labels.numpy(), cv=splits, method="predict_proba")
        judged.append((log_loss(labels, shares), (shares.argmax(1) == labels.numpy()).mean()))
    found = linear_probe(features, labels, seed=4)
    assert found == pytest.approx(min(judged)[1], abs=1.01 / shape[0])
    assert 0.4 < found < 1.0


def test_names_of_classes_change_nothing_and_a_row_alone_is_never_right(clusters: Clusters) -> None:
    features, labels = clusters(40, 6, spread=0.1)
    assert linear_probe(features, torch.tensor([9, 4, 6])[labels], seed=0) == 1.0
    lonely = labels.clone()
    lonely[0] = -1  # the first of the classes
    assert linear_probe(features, lonely, seed=0) <= 39 / 40


def test_noise_scores_chance() -> None:
    noise = torch.tensor(np.random.default_rng(0).normal(size=(150, 4)))
    assert linear_probe(noise, torch.arange(150) % 3, seed=0) < 0.5


def test_where_no_row_can_be_held_out_none_is_right() -> None:
    assert linear_probe(torch.eye(4), torch.arange(4), seed=0) == 0.0


def test_what_cannot_be_probed_is_refused() -> None:
    with pytest.raises(UserError, match="not finite"):
        linear_probe(torch.full((4, 2), torch.inf), torch.arange(4) % 2, seed=0)
    with pytest.raises(UserError, match="1 class"):
        linear_probe(torch.ones(4, 2), torch.zeros(4, dtype=torch.int64), seed=0)
