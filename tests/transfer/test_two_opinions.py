"""What other rows say of a row: the regression, the vote by likeness, and both together."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from transfer.metrics.two_opinions import Opinions, directions, unseen_scores


def _drawn(n_rows: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, n_classes, n_rows)
    return draw.normal(size=(n_rows, 6)) + np.eye(n_classes, 6)[labels], labels


def _opinions(values: np.ndarray, labels: np.ndarray, n_classes: int) -> Opinions:
    return Opinions.of(torch.from_numpy(values), torch.from_numpy(labels), n_classes)


def _vote_of(rows: np.ndarray, labels: np.ndarray, asking: np.ndarray, concentration: float) -> np.ndarray:
    """Return scikit-learn's vote: of unit rows exp(c (cosine - 1)) is exp(-c d^2 / 2)."""

    def by_distance(distance: np.ndarray) -> np.ndarray:
        weights: np.ndarray = np.exp(-concentration / 2 * distance**2)
        return weights

    voters = KNeighborsClassifier(n_neighbors=len(rows), weights=by_distance, algorithm="brute").fit(rows, labels)
    return np.asarray(voters.predict_proba(asking[None])[0])


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_fits_without_the_row(weighted: bool) -> None:
    draw = np.random.default_rng(1)
    values, labels = draw.normal(size=(24, 5)), draw.integers(0, 3, 24)
    weights = draw.uniform(0.2, 2, 24) if weighted else np.ones(24)
    given_weights = torch.from_numpy(weights) if weighted else None
    scores = unseen_scores(torch.from_numpy(values), torch.from_numpy(labels), 3, given_weights).numpy()
    targets = np.eye(3)[labels]
    scaled = weights / weights.mean()
    centred = (values - np.average(values, axis=0, weights=weights)) * np.sqrt(scaled)[:, None]
    mean_power = np.square(centred).sum() / 5
    errors = {}
    for exponent in (-6, -5, -4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1):
        predicted = np.empty((24, 3))
        for row in range(24):
            others = np.arange(24) != row
            ridge = Ridge(alpha=10.0**exponent * mean_power)
            ridge.fit(values[others], targets[others], sample_weight=scaled[others])
            predicted[row] = ridge.predict(values[row : row + 1])[0]
        errors[exponent] = (float(weights @ np.square(targets - predicted).sum(1)), predicted)
    best = min(errors.values(), key=lambda pair: pair[0])[1]
    np.testing.assert_allclose(scores, best, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("concentration", [1.25, 20.0])
def test_votes_are_those_of_neighbours_without_the_row(concentration: float, weighted: bool) -> None:
    values, labels = _drawn(30, 3)
    opinions = _opinions(values, labels, 3)
    counts = np.random.default_rng(1).integers(1, 4, 30) if weighted else np.ones(30, dtype=np.int64)
    votes = opinions.vote(concentration, torch.from_numpy(counts.astype(float)) if weighted else None)
    rows = opinions.rows.numpy()
    for row in range(30):
        others = np.repeat(np.delete(np.arange(30), row), np.delete(counts, row))  # a row of weight 3 is there thrice
        expected = _vote_of(rows[others], labels[others], rows[row], concentration)
        np.testing.assert_allclose(votes[row].numpy(), expected, atol=1e-12)


def test_of_many_rows_some_vote_each_class_by_its_share() -> None:
    values, labels = _drawn(5200, 3)
    opinions = _opinions(values, labels, 3)
    voters = opinions.voters.numpy()
    assert len(set(voters.tolist())) == 4000
    shares = np.bincount(labels[voters]) / 4000
    np.testing.assert_allclose(shares, np.bincount(labels) / 5200, atol=1e-3)
    votes, rows = opinions.vote(5.0).numpy(), opinions.rows.numpy()
    absent = np.setdiff1d(np.arange(5200), voters)
    for row in (int(voters[7]), int(absent[7])):
        others = voters[voters != row]
        np.testing.assert_allclose(votes[row], _vote_of(rows[others], labels[others], rows[row], 5.0), atol=1e-12)


def test_directions_are_centred_roots_of_unit_length() -> None:
    values, _ = _drawn(20, 3)
    rooted = np.sign(values) * np.sqrt(np.abs(values))
    expected = normalize(rooted - rooted.mean(0))
    np.testing.assert_allclose(directions(torch.from_numpy(values)).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(directions(torch.from_numpy(9 * values)).numpy(), expected, atol=1e-12)
    assert bool((directions(torch.ones(4, 3)) == 0).all())


def _made_likely(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the least loss over temperatures, by SciPy and scikit-learn, and the scores at that temperature."""

    def loss(logarithm: float) -> float:
        shares = softmax(np.exp(logarithm) * scores, axis=1)
        return float(log_loss(labels, shares, sample_weight=weights))

    found = minimize_scalar(loss, bounds=(-5, 8), method="bounded", options={"xatol": 1e-6})
    return float(found.fun), np.exp(found.x) * scores


@pytest.mark.parametrize("weighted", [False, True])
def test_both_count_alike_at_their_own_temperature_and_the_likeliest_width_votes(weighted: bool) -> None:
    values, labels = _drawn(400, 3, seed=2)
    weights = np.random.default_rng(3).uniform(0.2, 2, 400) if weighted else np.ones(400)
    given_weights = torch.from_numpy(weights) if weighted else None
    opinions = _opinions(values, labels, 3)
    regressed = unseen_scores(opinions.rows, opinions.labels, 3, given_weights).numpy()
    votes = [opinions.vote(width, given_weights).numpy() for width in (1.25, 2.5, 5.0, 10.0, 20.0)]
    losses, likely = zip(*(_made_likely(one, labels, weights) for one in votes), strict=True)
    expected = (_made_likely(regressed, labels, weights)[1] + likely[int(np.argmin(losses))]) / 2
    np.testing.assert_allclose(opinions.logits(given_weights).numpy(), expected, rtol=0.02, atol=0.02)
