"""The ranking: the best features first, ties to the smaller network, and a sentence that says why."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transfer.records import CandidateScore
from transfer.selection.knn import knn_loo_accuracy
from transfer.selection.ranking import explain, rank, score_features, score_pixels
from transfer.selection.ridge import ridge_loo_accuracy


def scored(reference: str, score: float, n_parameters: int = 100) -> CandidateScore:
    return CandidateScore(reference, score, score, score, 30, 4, n_parameters, None)


PIXELS = scored("raw pixels", 0.5, 0)


@given(st.lists(st.tuples(st.sampled_from([0.25, 0.5, 0.75]), st.integers(1, 3)), min_size=1))
def test_the_order_is_by_score_then_size_then_place(drawn: list[tuple[float, int]]) -> None:
    scores = [scored(str(place), score, size) for place, (score, size) in enumerate(drawn)]
    ranked = rank(scores)
    assert sorted(ranked, key=lambda one: int(one.reference)) == scores
    keys = [(-one.score, one.n_parameters, int(one.reference)) for one in ranked]
    assert keys == sorted(keys)


def test_a_score_is_the_mean_of_both_accuracies() -> None:
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 3
    score = score_features(features, labels, 5, "rootstock/strokes", 7, "ab")
    knn, ridge = knn_loo_accuracy(features, labels, 5), ridge_loo_accuracy(features, labels)
    assert score == CandidateScore("rootstock/strokes", knn, ridge, (knn + ridge) / 2, 30, 4, 7, "ab")


def test_pixels_are_scored_without_a_network() -> None:
    shades = torch.tensor([0, 255], dtype=torch.uint8).repeat(10)[:, None, None, None].expand(20, 3, 8, 8)
    noise = torch.randint(0, 20, (20, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    score = score_pixels(torch.where(shades > 0, shades - noise, noise), torch.arange(20) % 2, 3)
    assert (score.reference, score.n_parameters, score.weights_sha256) == ("raw pixels", 0, None)
    assert score.ridge_loo_accuracy == 1.0


@pytest.mark.parametrize(
    ("ranked", "said"),
    [
        ([scored("a", 0.9)], "a reaches 0.900 (k-NN 0.900, ridge 0.900)"),
        ([scored("a", 0.9), scored("b", 0.8)], "10.0 points ahead of b"),
        ([scored("a", 0.9, 5), scored("b", 0.9, 9)], "level with b, which has more parameters"),
        ([scored("a", 0.9, 5), scored("b", 0.9, 5)], "level with b, which was named later"),
        ([scored("a", 0.9)], "the only candidate"),
    ],
)
def test_the_sentence_says_why_the_first_one_won(ranked: list[CandidateScore], said: str) -> None:
    sentence = explain(ranked, PIXELS)
    assert said in sentence
    assert "on 30 training rows" in sentence
    assert "raw pixels reach 0.500" in sentence
    assert sentence.endswith(".")


def test_a_winner_no_better_than_the_pixels_is_said_so() -> None:
    assert "but raw pixels reach 0.500" in explain([replace(PIXELS, reference="a")], PIXELS)
    assert "but raw pixels" not in explain([scored("a", 0.6)], PIXELS)
