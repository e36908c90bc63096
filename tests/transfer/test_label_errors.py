"""Wrong labels: found on real scans, told with a probability that holds, and not invented where there are none."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from transfer.errors import UserError
from transfer.metrics.label_errors import FEWEST_ROWS, JudgedLabels, explained, judge_labels

SIMULATED_ROWS, SIMULATED_CLASSES = 4000, 4


def _digits(n_rows: int = 600) -> tuple[torch.Tensor, np.ndarray]:
    """Return features that probes do well on, and right labels: pixels of scanned digits, and products of some."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels[:n_rows] / 16
    mixed = np.maximum(pixels @ np.random.default_rng(0).normal(0, 0.3, (64, 160)), 0)
    return torch.from_numpy(mixed), labels[:n_rows].astype(np.int64)


def _flipped(
    labels: np.ndarray, share: float, seed: int = 0, *, pairwise: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    rows = draw.choice(len(labels), round(share * len(labels)), replace=False)
    shift = np.ones(len(rows), dtype=np.int64) if pairwise else draw.integers(1, 10, len(rows))
    noisy = labels.copy()
    noisy[rows] = (labels[rows] + shift) % 10
    return noisy, rows


def _judged(features: torch.Tensor, labels: np.ndarray) -> JudgedLabels:
    return judge_labels(features, torch.from_numpy(labels), 10)


@pytest.mark.parametrize("pairwise", [False, True])
def test_planted_flips_are_found_and_little_else(pairwise: bool) -> None:
    features, labels = _digits()
    noisy, rows = _flipped(labels, 0.1, pairwise=pairwise)
    found = _judged(features, noisy)
    named = set(found.named().tolist())
    hits = named & set(rows.tolist())
    assert len(hits) >= 0.85 * len(rows)
    assert len(hits) >= 0.85 * len(named)
    assert found.noise == pytest.approx(0.1, abs=0.02)
    right = [int(found.suggested[row]) == labels[row] for row in hits]
    assert np.mean(right) > 0.95
    assert bool((found.suggested != torch.from_numpy(noisy)).all())


def test_right_labels_are_left_alone() -> None:
    features, labels = _digits()
    found = _judged(features, labels)
    assert len(found.named()) <= 2
    assert 0.9 < found.accuracy < 1  # although the probe mistakes more of them


@pytest.mark.parametrize(("pair", "seed"), [((3, 5), 5), ((8, 9), 0)])
def test_wrong_labels_of_two_classes_do_not_pass_for_hard_images(pair: tuple[int, int], seed: int) -> None:
    pixels, digits = load_digits(return_X_y=True)
    rows = np.flatnonzero(np.isin(digits, pair))[:200]
    truth = (digits[rows] == pair[1]).astype(np.int64)
    flipped = np.random.default_rng(seed).choice(200, 20, replace=False)
    noisy = truth.copy()
    noisy[flipped] = 1 - noisy[flipped]
    features = torch.from_numpy(pixels[rows])
    named = set(judge_labels(features, torch.from_numpy(noisy), 2).named().tolist())
    assert len(named & set(flipped.tolist())) >= 12
    assert len(named - set(flipped.tolist())) <= 1
    assert len(judge_labels(features, torch.from_numpy(truth), 2).named()) == 0


def test_named_come_surest_first() -> None:
    features, labels = _digits(400)
    found = _judged(features, _flipped(labels, 0.1)[0])
    sure = found.wrong[found.named()]
    assert bool((sure.diff() <= 0).all())
    assert float(sure.min()) > 0.5
    assert int((found.wrong > 0.5).sum()) == len(sure)


def _simulated(noise: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw scores, the true classes that their softmax at sharpness 3 gives, and labels with so much noise."""
    draw = torch.Generator().manual_seed(5)
    scores = torch.randn(SIMULATED_ROWS, SIMULATED_CLASSES, generator=draw, dtype=torch.float64)
    truth = torch.multinomial((3 * scores).softmax(1), 1, generator=draw).flatten()
    is_wrong = torch.rand(SIMULATED_ROWS, generator=draw) < noise
    shift = torch.randint(1, SIMULATED_CLASSES, (SIMULATED_ROWS,), generator=draw)
    return scores, truth, torch.where(is_wrong, (truth + shift) % SIMULATED_CLASSES, truth)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_doubt_about_images_and_about_labels_are_told_apart(noise: float) -> None:
    scores, truth, labels = _simulated(noise)
    found = explained(scores, labels)
    rows = torch.arange(len(labels))
    wrong = 1 - found.truth[rows, labels]
    assert float(wrong.mean()) == pytest.approx(noise, abs=0.02)
    assert found.sharpness == pytest.approx(3, rel=0.15)
    is_wrong = (labels != truth).double()
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        within = (wrong >= low) & (wrong < high)
        if int(within.sum()) > 100:
            assert float(is_wrong[within].mean()) == pytest.approx(float(wrong[within].mean()), abs=0.1)


def test_the_posterior_of_the_true_class_is_that_of_bayes() -> None:
    scores, _, labels = _simulated(0.1)
    found = explained(scores, labels)
    shares = torch.softmax(found.sharpness * scores + found.offset, 1).numpy()
    joint = shares * found.confusion.numpy()[:, labels.numpy()].T
    np.testing.assert_allclose(found.truth.numpy(), joint / joint.sum(1, keepdims=True), atol=1e-9)
    np.testing.assert_allclose(found.confusion.sum(1).numpy(), 1, atol=1e-12)


@settings(max_examples=3)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1.0, 50.0]))
def test_order_of_rows_names_of_classes_and_units_of_features_do_not_count(seed: int, scale: float) -> None:
    features, labels = _digits(120)
    noisy, _ = _flipped(labels, 0.1, seed)
    found = _judged(features, noisy)
    draw = np.random.default_rng(seed)
    rows, names = draw.permutation(len(noisy)), draw.permutation(10)
    other = _judged(scale * features[torch.from_numpy(rows)], names[noisy[rows]])
    torch.testing.assert_close(other.wrong, found.wrong[torch.from_numpy(rows)], atol=1e-5, rtol=0)
    sure = np.flatnonzero(other.wrong.numpy() > 0.5)
    assert (other.suggested.numpy()[sure] == names[found.suggested.numpy()[rows[sure]]]).all()


def test_classes_of_few_rows_are_not_judged() -> None:
    features, labels = _digits(400)
    rare = np.flatnonzero(labels == 3)[: FEWEST_ROWS - 1]
    kept = np.sort(np.concatenate([np.flatnonzero(labels != 3), rare]))
    found = _judged(features[torch.from_numpy(kept)], labels[kept])
    assert float(found.wrong[torch.from_numpy(labels[kept] == 3)].max()) == 0


def test_rare_classes_are_not_flooded() -> None:
    features, labels = _digits(1300)
    draw, kept = np.random.default_rng(0), []
    for name in range(10):
        of_class = draw.permutation(np.flatnonzero(labels == name))
        kept.append(of_class[: round(100 * 20 ** (-name / 9))])
    rows = np.concatenate(kept)
    found = _judged(features[torch.from_numpy(rows)], labels[rows])
    assert len(found.named()) <= 0.01 * len(rows)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(UserError, match=r"1 rows of 2 classes are too few to judge labels by; add images"):
        judge_labels(torch.zeros(1, 3), torch.tensor([0]), 2)
    with pytest.raises(UserError, match=r"3 rows of 1 classes"):
        judge_labels(torch.zeros(3, 3), torch.tensor([0, 0, 0]), 1)
    with pytest.raises(UserError, match=r"not finite.*choose another backbone"):
        judge_labels(torch.tensor([[0.0], [torch.nan]]), torch.tensor([0, 1]), 2)


def test_features_that_say_nothing_name_nothing() -> None:
    labels = torch.arange(60) % 3
    assert judge_labels(torch.ones(60, 4), labels, 3).named().tolist() == []
    noise = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    assert len(judge_labels(noise, labels, 3).named()) <= 2


@pytest.mark.parametrize(("n_rows", "width", "n_classes"), [(60, 5, 3), (200, 16, 2), (200, 64, 5)])
def test_of_features_by_chance_hardly_any_label_is_named(n_rows: int, width: int, n_classes: int) -> None:
    """A backbone that knows nothing of the images has no opinion on their labels, whatever was drawn."""
    named = []
    for seed in range(4):
        draw = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, n_classes, (n_rows,), generator=draw)
        named.append(len(judge_labels(torch.randn(n_rows, width, generator=draw), labels, n_classes).named()))
    assert sum(named) <= 0.02 * 4 * n_rows, named


@pytest.mark.parametrize(("n_rows", "distance"), [(100, 1.0), (200, 1.2), (400, 1.0)])
def test_of_classes_that_overlap_hardly_any_label_is_named(n_rows: int, distance: float) -> None:
    for seed in range(6):
        draw = np.random.default_rng(seed)
        labels = draw.integers(0, 2, n_rows)
        features = draw.normal(size=(n_rows, 24))
        features[:, 0] += distance * labels
        found = judge_labels(torch.from_numpy(features), torch.from_numpy(labels), 2)
        assert len(found.named()) <= 0.03 * n_rows
        assert found.noise == pytest.approx(float(found.wrong.mean()))


def test_much_noise_is_told_where_classes_lie_apart() -> None:
    features, labels = _digits()
    noisy, rows = _flipped(labels, 0.3)
    found = _judged(features, noisy)
    assert found.can_tell
    hits = set(found.named().tolist()) & set(rows.tolist())
    assert len(hits) >= 0.85 * max(len(rows), len(found.named()))
