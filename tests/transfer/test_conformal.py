"""Sets of classes: the quantile by hand, the scores by the definition of the papers, coverage as often as asked."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits

from transfer.errors import UserError
from transfer.heads.ridge import fit_probe
from transfer.metrics.conformal import METHODS, aps_scores, coverage_by_chance, lac_scores, sets, threshold


def _world(seed: int, n_rows: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Return labels that follow the softmax of scores, and the probabilities of a model that is too sure or unsure."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(n_rows, 5)) * 2
    true, said = (np.exp(scale * scores) for scale in (1.0, sharpness))
    true, said = (powers / powers.sum(axis=1, keepdims=True) for powers in (true, said))
    labels = (true.cumsum(axis=1) < draw.random((n_rows, 1))).sum(axis=1).clip(0, 4)
    return labels, said


def test_the_quantile_by_hand() -> None:
    scores = np.array([0.4, 0.1, 0.3, 0.2, 0.9, 0.5, 0.6, 0.7, 0.8])
    assert threshold(scores, 0.1) == 0.9  # the 9th of 9: ceil(10 * 0.9)
    assert threshold(scores, 0.5) == 0.5
    assert threshold(scores, 0.05) == math.inf
    with pytest.raises(UserError, match="no calibration row"):
        threshold(np.empty(0), 0.1)


@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_adaptive_sets_are_those_of_the_papers_definition(seed: int, level: float) -> None:
    draw = np.random.default_rng(seed)
    probabilities, draws = draw.dirichlet(np.ones(5), 6), draw.random(6)
    found = aps_scores(probabilities, draws) <= level
    for row, chance, held in zip(probabilities, draws, found, strict=True):
        order = np.argsort(-row)
        total = np.cumsum(row[order])
        last = int(np.searchsorted(total, level))  # the first classes whose mass reaches the level
        excess = (total[last] - level) / row[order][last]
        n_held = last if chance > 1 - excess else last + 1  # the last one is left out with that chance
        assert set(np.flatnonzero(held)) == set(order[:n_held])


def test_the_plain_score_is_what_is_missing_to_certainty() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1]])
    assert lac_scores(probabilities, np.zeros(1)).tolist() == [pytest.approx([0.3, 0.8, 0.9])]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_sets_hold_the_right_class_as_often_as_asked_however_sure_the_model(method: str, sharpness: float) -> None:
    n_known, covered, n_rows = 99, 0, 0
    for seed in range(150):
        labels, said = _world(seed, n_known + 200, sharpness)
        _, held = sets(method, (labels[:n_known], said[:n_known]), said[n_known:], 0.1, seed)
        covered += int(held[np.arange(200), labels[n_known:]].sum())
        n_rows += 200
    spread = stats.beta(90, 10).std() / 150**0.5
    assert covered / n_rows == pytest.approx(0.9, abs=4 * spread + 2 / n_rows**0.5)


def test_coverage_varies_as_chance_says() -> None:
    found = []
    for seed in range(200):
        labels, said = _world(seed, 60 + 100, 1.0)
        _, held = sets("lac", (labels[:60], said[:60]), said[60:], 0.1, seed)
        found.append(held[np.arange(100), labels[60:]].mean())
    low, high = coverage_by_chance(60, 100, 0.1, 0.9)
    within = np.mean([low <= share <= high for share in found])
    assert 0.85 < within < 0.97
    assert coverage_by_chance(5, 100, 0.1, 0.9) == (1.0, 1.0)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(sorted(METHODS)))
def test_sets_grow_as_fewer_misses_are_allowed(seed: int, method: str) -> None:
    labels, said = _world(seed, 120, 1.0)
    strict, loose = (sets(method, (labels[:60], said[:60]), said[60:], error, seed)[1] for error in (0.05, 0.3))
    assert (strict | ~loose).all()


def test_of_too_few_rows_every_set_holds_all_classes() -> None:
    labels, said = _world(0, 30, 1.0)
    limit, held = sets("lac", (labels[:5], said[:5]), said[5:], 0.1, 0)
    assert limit == math.inf
    assert held.all()


@pytest.mark.slow
def test_answers_of_fits_without_each_row_make_honest_sets_and_own_answers_do_not() -> None:
    digits, draw = load_digits(), torch.Generator().manual_seed(0)
    weights = torch.randn((64, 300), generator=draw) / 8
    features, labels = torch.relu((torch.tensor(digits.data).float() / 16 - 0.3) @ weights), torch.tensor(digits.target)
    honest: dict[str, list[float]] = {method: [] for method in METHODS}
    own: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(20):
        fitted, new = torch.randperm(len(labels), generator=draw).split([600, len(labels) - 600])
        known = fitted[400:]  # the validation rows
        probe = fit_probe(features[fitted], labels[fitted], 10)
        said = (features @ probe.weight.T + probe.bias).double().softmax(1).numpy()
        for found, answers in ((honest, probe.held_out[400:].softmax(1).numpy()), (own, said[known])):
            for method in METHODS:
                _, held = sets(method, (labels[known].numpy(), answers), said[new], 0.1, seed)
                found[method].append(float(held[np.arange(len(new)), labels[new].numpy()].mean()))
    for method in METHODS:
        assert np.mean(honest[method]) == pytest.approx(0.9, abs=0.02), method
    assert np.mean(own["lac"]) < 0.85  # the draw of adaptive sets hides it where nearly every answer is right
