"""The ranking: level candidates by two opinions, the others by accuracy, and a sentence that says why."""

import math
from dataclasses import replace

import pytest
import torch

from transfer.records import CandidateScore, Interval
from transfer.selection.decomposition import Decomposition
from transfer.selection.ranking import Scored, Weights, believed, explain, floor, rank, score_features, score_pixels
from transfer.selection.scores.knn import knn_loo_accuracy
from transfer.selection.scores.logme import logme
from transfer.selection.scores.ridge import ridge_without_one

LABELS = torch.arange(300) % 3


def scored(
    reference: str,
    accuracy: float,
    n_parameters: int = 100,
    error: float = 0.1,
    *,
    level: bool = False,
    best: float = 0.5,
) -> CandidateScore:
    interval = Interval(accuracy, accuracy - 0.02, accuracy + 0.02)
    return CandidateScore(
        reference, interval, best, level, accuracy, error, accuracy, {}, None, 30, 4, n_parameters, None
    )


def candidate(reference: str, n_right: int, error: float = 0.1, n_parameters: int = 100, seed: int = 0) -> Scored:
    """Return a candidate that has so many of the rows right, anywhere among them."""
    right = torch.zeros(len(LABELS), dtype=torch.float64)
    right[torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(seed))[:n_right]] = 1
    return Scored(scored(reference, n_right / len(LABELS), n_parameters, error), right)


PIXELS = scored("raw pixels", 0.5, 0)


def test_a_clear_winner_is_alone_and_the_others_follow_by_accuracy() -> None:
    ranked = rank(
        [candidate("c", 150, 0.1), candidate("a", 290, 0.9, seed=1), candidate("b", 200, 0.5, seed=2)], LABELS, 0.95
    )
    assert [one.reference for one in ranked] == ["a", "b", "c"]
    assert [one.level for one in ranked] == [True, False, False]
    assert ranked[0].probability_best == 1.0
    assert ranked[0].accuracy.value == pytest.approx(290 / 300, abs=5e-3)


@pytest.mark.parametrize(("neighbours", "first"), [(0.95, "behind"), (0.8, "ahead")])
def test_of_level_candidates_the_one_that_neighbours_favour_too_leads(neighbours: float, first: str) -> None:
    behind = candidate("behind", 268, seed=1)
    behind = replace(behind, score=replace(behind.score, knn_loo_accuracy=neighbours))
    ranked = rank([candidate("ahead", 270), behind], LABELS, 0.95)
    assert [one.level for one in ranked] == [True, True]
    assert ranked[0].reference == first


@pytest.mark.parametrize(("error", "first"), [(0.2, "behind"), (0.05, "ahead")])
def test_of_equal_opinions_the_smaller_error_leads(error: float, first: str) -> None:
    ranked = rank([candidate("ahead", 270, error), candidate("behind", 270, 0.1, seed=1)], LABELS, 0.95)
    assert [one.level for one in ranked] == [True, True]
    assert ranked[0].reference == first
    assert 0.3 < max(one.probability_best for one in ranked) < 0.9


def test_of_equal_errors_the_smaller_network_leads_and_then_the_one_named_first() -> None:
    three = [
        candidate("large", 270, n_parameters=9),
        candidate("small", 270, n_parameters=5),
        candidate("later", 270, n_parameters=5),
    ]
    assert [one.reference for one in rank(three, LABELS, 0.95)] == ["small", "later", "large"]
    two = [candidate("first", 270, n_parameters=5), candidate("second", 269, n_parameters=5)]
    assert [one.reference for one in rank(two, LABELS, 0.999)] == ["first", "second"]


def test_intervals_are_those_of_what_is_believed() -> None:
    pool = [candidate("a", 270), candidate("b", 240, seed=1)]
    low, high = believed(pool, LABELS).interval(0.8)
    ranked = rank(pool, LABELS, 0.8)
    assert [(one.accuracy.low, one.accuracy.high) for one in ranked] == list(
        zip(low.tolist(), high.tolist(), strict=True)
    )


def test_published_figures_move_candidates_that_rows_do_not_tell_apart() -> None:
    pool = [candidate("known", 270), candidate("other", 270, seed=1)]
    alone = {one.reference: one for one in rank(pool, LABELS, 0.95)}
    figures = [
        replace(one, score=replace(one.score, imagenet_top1=top1)) for one, top1 in zip(pool, (80.0, 60.0), strict=True)
    ]
    helped = {one.reference: one for one in rank(figures, LABELS, 0.95)}
    assert helped["known"].probability_best > alone["known"].probability_best + 0.1
    assert helped["known"].accuracy.value > alone["known"].accuracy.value


def test_scores_are_those_of_their_modules() -> None:
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 3
    found = score_features(features, labels, 5, Weights("rootstock/strokes", 7, "ab", 71.9))
    ridge = ridge_without_one(features, labels)
    assert found.score.ridge_loo_error == pytest.approx(ridge.error)
    assert found.right.tolist() == (ridge.scores.argmax(1) == labels).double().tolist()
    assert found.score.ridge_loo_accuracy == float(found.right.mean())
    assert found.score.knn_loo_accuracy == knn_loo_accuracy(features, labels, 5)
    assert found.score.other_scores["logme"] == pytest.approx(logme(Decomposition.of(features, labels)))
    assert set(found.score.other_scores) == {"logme", "shrunk_hscore", "sfda", "transrate", "gbc"}
    assert (found.score.n_parameters, found.score.weights_sha256, found.score.imagenet_top1) == (7, "ab", 71.9)


def test_pixels_are_scored_without_a_network() -> None:
    shades = torch.tensor([0, 255], dtype=torch.uint8).repeat(10)[:, None, None, None].expand(20, 3, 8, 8)
    noise = torch.randint(0, 20, (20, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    labels = torch.arange(20) % 2
    score = floor(score_pixels(torch.where(shades > 0, shades - noise, noise), labels, 3), labels, 0.95)
    assert (score.reference, score.n_parameters, score.weights_sha256) == ("raw pixels", 0, None)
    assert score.ridge_loo_accuracy == 1.0
    assert score.accuracy.value == pytest.approx(20.5 / 21, abs=5e-3)
    assert not math.isnan(score.accuracy.low)


@pytest.mark.parametrize(
    ("ranked", "said"),
    [
        ([scored("a", 0.9)], "a is expected to reach an accuracy of 0.900 (0.880 to 0.920)"),
        ([scored("a", 0.9)], "and is the only candidate"),
        (
            [scored("a", 0.9, best=0.99), scored("b", 0.8)],
            "the best of 2 with probability 0.99, 10.0 points ahead of b",
        ),
        (
            [scored("a", 0.9, level=True), scored("b", 0.91, error=0.2, level=True)],
            "level with b (0.910, probability 0.50), whose squared error is larger (0.200 to 0.100)",
        ),
        (
            [scored("a", 0.92, level=True), scored("b", 0.9, level=True)],
            "level with b (0.900, probability 0.50), whose accuracy is lower where neighbours vote as well (0.900 to",
        ),
        ([scored("a", 0.9, 5, level=True), scored("b", 0.9, 9, level=True)], "which has more parameters"),
        ([scored("a", 0.9, 5, level=True), scored("b", 0.9, 5, level=True)], "which was named later"),
    ],
)
def test_the_sentence_says_why_the_first_one_won(ranked: list[CandidateScore], said: str) -> None:
    sentence = explain(ranked, PIXELS, 0.95)
    assert said in sentence
    assert "by 30 training rows, 95 % interval" in sentence
    assert "raw pixels reach 0.500" in sentence
    assert sentence.endswith(".")


def test_a_winner_no_better_than_the_pixels_is_said_so() -> None:
    assert "but raw pixels reach 0.500" in explain([replace(PIXELS, reference="a")], PIXELS, 0.95)
    assert "but raw pixels" not in explain([scored("a", 0.6)], PIXELS, 0.95)
