"""The linear probe, against scikit-learn's logistic regression."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from transfer.errors import UserError
from transfer.finetuning.probe import STRENGTHS, fit_probe, logistic_regression


def _clouds(seed: int, n_rows: int, n_classes: int, width: int, gap: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return overlapping clouds whose features have different scales and offsets."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n_rows) % n_classes
    centres = gap * torch.randn((n_classes, width), generator=draw)
    features = centres[labels] + torch.randn((n_rows, width), generator=draw)
    return features * torch.logspace(-2, 2, width) + torch.linspace(-5, 5, width), labels


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("inverse_strength", [0.01, 1.0])
@pytest.mark.parametrize("width", [5, 60])
def test_the_optimum_is_scikit_learns(n_classes: int, inverse_strength: float, width: int) -> None:
    features, labels = _clouds(0, 40, n_classes, width)
    rows = torch.from_numpy(StandardScaler().fit_transform(features.double().numpy()))
    weight, bias = logistic_regression(rows, labels, n_classes, inverse_strength)
    # Of two classes scikit-learn penalises one vector, w1 - w0; the softmax penalises both, so its C counts twice.
    theirs = 2 * inverse_strength if n_classes == 2 else inverse_strength
    model = LogisticRegression(C=theirs, tol=1e-10, max_iter=10_000).fit(rows.numpy(), labels.numpy())
    ours = (rows @ weight.T + bias).softmax(dim=1)
    assert torch.allclose(ours, torch.from_numpy(model.predict_proba(rows.numpy())), atol=1e-5)


def test_the_standardiser_is_folded_into_the_head() -> None:
    features, labels = _clouds(1, 60, 3, 6)
    weight, bias, strength = fit_probe(features, labels, 3, 0)
    scaler = StandardScaler().fit(features.double().numpy())
    rows = torch.from_numpy(scaler.transform(features.double().numpy()))
    inner_weight, inner_bias = logistic_regression(rows, labels, 3, strength)
    assert torch.allclose((features @ weight.T + bias).double(), rows @ inner_weight.T + inner_bias, atol=1e-4)
    assert weight.dtype == bias.dtype == torch.float32


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features, labels = _clouds(2, 40, 2, 4)
    wider = torch.cat([features, torch.full((40, 1), 7.0)], dim=1)
    logits = [
        rows @ weight.T + bias for rows in (features, wider) for weight, bias, _ in [fit_probe(rows, labels, 2, 0)]
    ]
    assert torch.allclose(logits[0].softmax(1), logits[1].softmax(1), atol=1e-3)


def test_the_strength_follows_how_much_the_features_say() -> None:
    noise, labels = _clouds(3, 60, 2, 30, gap=0.0)
    _, _, for_noise = fit_probe(noise, labels, 2, 0)
    _, _, for_signal = fit_probe(*_clouds(3, 60, 2, 30, gap=1.5), 2, 0)
    assert for_noise == STRENGTHS[0] < for_signal


def test_the_same_seed_gives_the_same_bytes() -> None:
    features, labels = _clouds(4, 50, 3, 8)
    first, second = (fit_probe(features, labels, 3, 5) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_a_class_of_one_row_is_fitted() -> None:
    features, labels = _clouds(5, 21, 2, 3)
    labels = torch.where(torch.arange(21) == 0, 2, labels)
    weight, _, _ = fit_probe(features, labels, 3, 0)
    assert weight.shape == (3, 3)
    assert weight.isfinite().all()


def test_a_class_without_rows_is_refused() -> None:
    features, labels = _clouds(6, 20, 2, 3)
    with pytest.raises(UserError, match="Class 2 has no training row"):
        fit_probe(features, labels, 3, 0)
