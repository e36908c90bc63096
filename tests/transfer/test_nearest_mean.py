"""The nearest class mean: scikit-learn's nearest centroid on standardised features."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from transfer.errors import UserError
from transfer.heads.nearest_mean import nearest_mean


def test_it_is_scikit_learns_nearest_centroid() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    centres = 1.5 * torch.randn((3, 8), generator=draw)
    features = (centres[labels] + torch.randn((90, 8), generator=draw)) * torch.logspace(-1, 1, 8) + 5
    unseen = (centres[labels] + torch.randn((90, 8), generator=draw)) * torch.logspace(-1, 1, 8) + 5
    model = make_pipeline(StandardScaler(), NearestCentroid()).fit(features.double().numpy(), labels.numpy())
    with torch.no_grad():
        found = nearest_mean(features, labels, 3)(unseen).argmax(1).numpy()
    assert (found == model.predict(unseen.double().numpy())).mean() > 0.98  # float32 may turn a tie
    assert 0.5 < np.mean(found == labels.numpy()) < 1


def test_a_feature_that_never_varies_has_no_say() -> None:
    features = torch.tensor([[0.0, 7.0], [1.0, 7.0], [0.1, 7.0], [0.9, 7.0]])
    head = nearest_mean(features, torch.tensor([0, 1, 0, 1]), 2)
    with torch.no_grad():
        assert head(torch.tensor([[0.2, 1e6], [0.8, -1e6]])).argmax(1).tolist() == [0, 1]


def test_a_class_without_rows_is_refused() -> None:
    with pytest.raises(UserError, match="Class 1 has no training row"):
        nearest_mean(torch.zeros(2, 3), torch.tensor([0, 2]), 3)
