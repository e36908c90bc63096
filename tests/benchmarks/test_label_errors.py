"""What the review is measured against is what its authors' package names, and flips are what was asked for."""

import numpy as np
import pytest

from benchmarks.label_errors import CONFIDENT, EVEN, PAIRS, REVIEW, confident_learning, flipped_labels, tables

NAMED_BY_CLEANLAB = [14, 16, 21, 47, 51, 52, 54, 56, 57, 58]  # 2.9.0, find_label_issues(filter_by="confident_learning")


def test_confident_learning_names_what_its_authors_package_names() -> None:
    draw = np.random.default_rng(0)
    truth, scores = draw.integers(0, 4, 60), draw.normal(size=(60, 4))
    scores[np.arange(60), truth] += 2
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = np.where(draw.random(60) < 0.2, draw.integers(0, 4, 60), truth)
    assert confident_learning(shares, labels).tolist() == NAMED_BY_CLEANLAB


@pytest.mark.parametrize("kind", [EVEN, PAIRS])
def test_flips_are_as_many_as_asked_for_and_wrong(kind: str) -> None:
    labels = np.arange(200, dtype=np.int64) % 5
    noisy, flipped = flipped_labels(labels, 5, 0.1, kind, 0)
    assert np.flatnonzero(noisy != labels).tolist() == flipped.tolist()
    assert len(flipped) == 20
    assert set(noisy) == set(labels)
    if kind == PAIRS:
        assert ((noisy[flipped] - labels[flipped]) % 5 == 1).all()


def test_a_line_tells_the_mean_and_spread_of_its_draws() -> None:
    def run(seed: int, named: int, hits: int) -> dict[str, object]:
        counts = {REVIEW: [named, hits], CONFIDENT: [4, 2]}
        about = {"data": "x", "share": 0.1, "kind": EVEN, "seed": seed, "n": 100, "n_flipped": 10, "accuracy": 0.8}
        return {**about, "counts": counts, "expected": 0.9 * named, "n_right_class": hits}

    told = tables([run(0, 10, 8), run(1, 10, 10), {**run(0, 3, 0), "share": 0.0}]).splitlines()
    assert told[2] == "| x, 100 | 80 % | 10 %, even | 2 | 90 ± 14 % | 90 ± 14 % | 20 ± 0 % | 50 ± 0 % | 90 % | 100 % |"
    assert told[-1] == "| x, 100 | 80 % | 3 | 4 |"
