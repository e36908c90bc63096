"""The closed-form probe: against brute force, scipy and scikit-learn's logistic regression."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegressionCV, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from transfer.errors import UserError
from transfer.heads.ridge import fit_probe
from transfer.metrics.ridge import RidgePath
from transfer.metrics.temperature import calibrated


def _clouds(seed: int, n_rows: int, n_classes: int, width: int, gap: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return overlapping clouds whose features have different scales and offsets."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n_rows) % n_classes
    centres = gap * torch.randn((n_classes, width), generator=draw)
    features = centres[labels] + torch.randn((n_rows, width), generator=draw)
    return features * torch.logspace(-2, 2, width) + torch.linspace(-5, 5, width), labels


def _brute_force(rows: np.ndarray, targets: np.ndarray, strength: float) -> np.ndarray:
    """Return what a ridge regression fitted to all other rows predicts for each."""
    kept = ~np.eye(len(rows), dtype=bool)
    fits = (Ridge(alpha=strength).fit(rows[others], targets[others]) for others in kept)
    return np.concatenate([fit.predict(row[None]) for fit, row in zip(fits, rows, strict=True)])


@pytest.mark.parametrize(("n_classes", "width"), [(2, 5), (4, 40)])
def test_the_strength_is_the_one_that_brute_force_prefers(n_classes: int, width: int) -> None:
    features, labels = _clouds(0, 28, n_classes, width)
    rows = torch.from_numpy(StandardScaler().fit_transform(features.double().numpy()))
    path = RidgePath(rows, labels, n_classes)
    losses = {}
    for strength in path.strengths():
        scores = torch.from_numpy(_brute_force(rows.numpy(), path.targets.numpy(), strength))
        losses[strength] = calibrated(scores, labels)[1]
    best = min(losses, key=losses.__getitem__)
    sharpness, _ = calibrated(torch.from_numpy(_brute_force(rows.numpy(), path.targets.numpy(), best)), labels)
    fit = Ridge(alpha=best).fit(rows.numpy(), path.targets.numpy())
    probe = fit_probe(features, labels, n_classes)
    expected = sharpness * torch.from_numpy(fit.predict(rows.numpy()))
    assert torch.allclose((features @ probe.weight.T + probe.bias).double(), expected, atol=2e-3)
    assert probe.weight.dtype == probe.bias.dtype == torch.float32
    by_others = sharpness * torch.from_numpy(_brute_force(rows.numpy(), path.targets.numpy(), best))
    assert torch.allclose(probe.held_out, by_others, atol=1e-4)


@pytest.mark.parametrize("start", [1e-3, 1.0, 300.0])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_the_temperature_is_scipys_optimum(n_classes: int, start: float) -> None:
    draw = np.random.default_rng(n_classes)
    labels = np.arange(60) % n_classes
    scores = np.eye(n_classes)[labels] + draw.normal(0, 0.5, (60, n_classes))
    doubt = 1 / 62
    targets = np.where(np.eye(n_classes)[labels] > 0, 1 - doubt, doubt / (n_classes - 1))

    def loss(sharpness: float) -> float:
        logits = torch.from_numpy(sharpness * scores)
        return float(-(torch.from_numpy(targets) * logits.log_softmax(1)).sum(1).mean())

    found, nll = calibrated(torch.from_numpy(scores), torch.from_numpy(labels), start)
    best = minimize_scalar(loss, bounds=(1e-3, 1e3), method="bounded", options={"xatol": 1e-8})
    assert found == pytest.approx(best.x, rel=1e-4)
    assert nll == pytest.approx(best.fun, rel=1e-8)


def test_scores_without_a_mistake_do_not_ask_for_boundless_confidence() -> None:
    labels = torch.arange(40) % 2
    sharpness, nll = calibrated(torch.nn.functional.one_hot(labels).double(), labels)
    assert torch.sigmoid(torch.tensor(sharpness)) == pytest.approx(1 - 1 / 42, abs=1e-6)  # one mistake in 42
    assert 0 < nll < 0.2


def test_scores_that_say_nothing_are_flattened() -> None:
    draw = torch.Generator().manual_seed(0)
    sharpness, nll = calibrated(torch.randn((4000, 3), generator=draw, dtype=torch.float64), torch.arange(4000) % 3)
    assert abs(sharpness) < 0.1
    assert nll == pytest.approx(np.log(3), abs=1e-3)


@pytest.mark.parametrize(("n_rows", "width", "gap"), [(60, 10, 1.0), (60, 200, 0.4), (300, 40, 0.6)])
def test_it_is_about_as_good_as_a_cross_validated_logistic_regression(n_rows: int, width: int, gap: float) -> None:
    ours, theirs = [], []
    for seed in range(4):
        features, labels = _clouds(seed, n_rows + 600, 3, width, gap)
        known, unseen = features[:n_rows], features[n_rows:]
        probe = fit_probe(known, labels[:n_rows], 3)
        logits = unseen @ probe.weight.T + probe.bias
        nll = torch.nn.functional.cross_entropy(logits, labels[n_rows:])
        ours.append((float(nll), float((logits.argmax(1) == labels[n_rows:]).float().mean())))
        model = make_pipeline(
            StandardScaler(),
            LogisticRegressionCV(
                Cs=[0.001, 0.01, 0.1, 1.0], l1_ratios=(0.0,), use_legacy_attributes=False, scoring="neg_log_loss"
            ),
        ).fit(known.numpy(), labels[:n_rows].numpy())
        shares = torch.from_numpy(model.predict_proba(unseen.numpy()))
        right = float((shares.argmax(1) == labels[n_rows:]).float().mean())
        theirs.append((float(torch.nn.functional.nll_loss(shares.log(), labels[n_rows:])), right))
    (nll, accuracy), (their_nll, their_accuracy) = np.mean(ours, 0), np.mean(theirs, 0)
    assert nll < 1.1 * their_nll + 0.02
    assert accuracy > their_accuracy - 0.02


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features, labels = _clouds(2, 40, 2, 4)
    wider = torch.cat([features, torch.full((40, 1), 7.0)], dim=1)
    logits = [
        rows @ probe.weight.T + probe.bias for rows in (features, wider) for probe in [fit_probe(rows, labels, 2)]
    ]
    assert torch.allclose(logits[0].softmax(1), logits[1].softmax(1), atol=0.01)


def test_features_that_never_change_leave_the_shares_of_the_classes() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    probe = fit_probe(torch.full((4, 5), 3.0) + 1e-15 * torch.randn(4, 5, dtype=torch.float64), labels, 2)
    assert torch.equal(probe.weight, torch.zeros(2, 5))
    assert float(probe.bias[0]) > float(probe.bias[1])


def test_noise_is_answered_with_equal_shares() -> None:
    noise, labels = _clouds(3, 400, 2, 30, gap=0.0)
    probe = fit_probe(noise, labels, 2)
    shares = (noise @ probe.weight.T + probe.bias).softmax(1)
    assert float((shares - 0.5).abs().max()) < 0.15


def test_the_same_rows_give_the_same_bytes() -> None:
    features, labels = _clouds(4, 50, 3, 8)
    first, second = (fit_probe(features, labels, 3) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


@pytest.mark.parametrize("n_rows", [3, 21])
def test_a_class_of_one_row_is_fitted(n_rows: int) -> None:
    features, labels = _clouds(5, n_rows, 2, 3)
    labels = torch.where(torch.arange(n_rows) == 0, 2, labels)
    probe = fit_probe(features, labels, 3)
    assert probe.weight.shape == (3, 3)
    assert probe.weight.isfinite().all()
    assert probe.bias.isfinite().all()


def test_a_class_without_rows_is_refused() -> None:
    features, labels = _clouds(6, 20, 2, 3)
    with pytest.raises(UserError, match="Class 2 has no training row"):
        fit_probe(features, labels, 3)
