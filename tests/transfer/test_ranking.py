"""The ranking: the best features first, within noise the smaller error, and a sentence that says why."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transfer.records import CandidateScore
from transfer.selection.ranking import Scored, explain, rank, score_features, score_pixels
from transfer.selection.scores.knn import knn_without_one
from transfer.selection.scores.ridge import ridge_without_one


def scored(
    reference: str, score: float, n_parameters: int = 100, error: float = 0.1, *, tied: bool = False
) -> CandidateScore:
    return CandidateScore(reference, score, score, error, score, tied, 30, 4, n_parameters, None)


def candidate(reference: str, n_right: int, error: float, n_parameters: int = 100, n_rows: int = 30) -> Scored:
    """Return a candidate that has the first `n_right` rows right."""
    right = (torch.arange(n_rows) < n_right).double()
    return Scored(scored(reference, float(right.mean()), n_parameters, error), right)


PIXELS = scored("raw pixels", 0.5, 0)


@given(st.lists(st.tuples(st.sampled_from([5, 18, 29]), st.sampled_from([0.1, 0.2]), st.integers(1, 3)), min_size=1))
def test_the_order_is_by_score_and_within_noise_by_error_size_and_place(drawn: list[tuple[int, float, int]]) -> None:
    ranked = rank([candidate(str(place), *figures) for place, figures in enumerate(drawn)])
    most = max(n_right for n_right, _, _ in drawn)
    expected = sorted(
        range(len(drawn)),
        key=lambda place: (-drawn[place][0], drawn[place][1] if drawn[place][0] == most else 0.0, drawn[place][2]),
    )
    assert [int(one.reference) for one in ranked] == expected
    assert [one.tied for one in ranked] == [drawn[place][0] == most for place in expected]


@pytest.mark.parametrize(("n_right", "tied"), [(30, True), (27, True), (26, False)])
def test_a_lead_within_noise_is_a_tie_that_the_smaller_error_decides(n_right: int, tied: bool) -> None:
    ahead, behind = candidate("ahead", 30, 0.2), candidate("behind", n_right, 0.1)
    lead = (ahead.right - behind.right).numpy()
    assert tied == bool(lead.mean() <= stats.norm.ppf(0.975) * stats.sem(lead))
    assert [one.reference for one in rank([ahead, behind])] == (["behind", "ahead"] if tied else ["ahead", "behind"])


def test_a_score_is_the_mean_of_both_accuracies() -> None:
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 3
    found = score_features(features, labels, 5, "rootstock/strokes", 7, "ab")
    ridge = ridge_without_one(features, labels)
    knn = float((knn_without_one(features, labels, 5) == labels).double().mean())
    linear = float((ridge.scores.argmax(1) == labels).double().mean())
    assert found.score.score == pytest.approx((knn + linear) / 2)
    assert found.score == CandidateScore(
        "rootstock/strokes", knn, linear, ridge.error, found.score.score, False, 30, 4, 7, "ab"
    )
    assert float(found.right.mean()) == found.score.score


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
        (
            [scored("a", 0.9, tied=True), scored("b", 0.91, error=0.2, tied=True)],
            "level within noise with b (0.910), whose squared error is larger (0.200 to 0.100)",
        ),
        ([scored("a", 0.9, 5, tied=True), scored("b", 0.9, 9, tied=True)], "with b (0.900), which has more parameters"),
        ([scored("a", 0.9, 5, tied=True), scored("b", 0.9, 5, tied=True)], "with b (0.900), which was named later"),
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
