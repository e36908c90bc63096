"""Neighbours are those that comparing all with all gives, whatever was known of earlier sets before."""

import hashlib
import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.data import alignment
from transfer.data.alignment import distances, halved, smoothed
from transfer.data.lookalikes import LEAST_SCORE, best_scores, best_turns, codes_of, frequencies
from transfer.data.near_duplicates import MOST_APART, Known, near_duplicates
from transfer.data.neighbours import N_KEPT, N_NEAREST, NOBODY, Neighbours, renewed
from transfer.data.turns import TURNS

POOL = 240


@cache
def _pool() -> np.ndarray:
    """Return images of a few kinds: alike enough within a kind that lists are cut, and equal codes occur."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 8, 8))
    noise = rng.normal(size=(POOL, 8, 8)) * rng.choice([0.0, 0.02, 0.4, 1.0], size=(POOL, 1, 1))
    small = kinds[rng.integers(0, 3, POOL)] + noise
    turned = np.stack(
        [TURNS[place].of_pixels(one[None])[0] for place, one in zip(rng.integers(0, 8, POOL), small, strict=False)]
    )
    large = np.clip(128 + 40 * turned.repeat(4, 1).repeat(4, 2), 0, 255).astype(np.uint8)
    large[5] = 90
    return large


def _set(places: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the digests and codes of some images of the pool, ascending by digest."""
    images = _pool()[sorted(set(places), key=lambda place: hashlib.sha256(_pool()[place].tobytes()).digest())]
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    kept = [at for at, digest in enumerate(digests) if digest not in digests[:at]]
    codes = codes_of(smoothed(images[kept])) * (images[kept].std(axis=(1, 2)) > 4)[:, None]
    return np.array([digests[at] for at in kept], dtype="S32"), codes.astype(np.int8)


def _by_brute_force(codes: np.ndarray) -> list[tuple[list[tuple[int, int]], int]]:
    """Return the best of each image in eight turns, and how many are near enough, of whole numbers."""
    squares = codes.astype(np.float32).reshape(-1, 8, 8)
    turned = [turn.of_frequencies(squares).reshape(-1, 64) for turn in TURNS]
    best = np.max([turned[0] @ other.T for other in turned], axis=0).astype(int)
    np.fill_diagonal(best, 0)
    orders = np.argsort(-best, axis=1, kind="stable")[:, :N_KEPT]
    n_enough = (best >= LEAST_SCORE).sum(axis=1)
    return [
        ([(other, row[other]) for other in order[:count]], count)
        for row, order, count in zip(best.tolist(), orders.tolist(), n_enough.tolist(), strict=True)
    ]


def _lists(near: Neighbours) -> list[list[tuple[int, int]]]:
    ends = np.cumsum(near.counts)
    entries = list(zip(near.others.tolist(), near.scores.tolist(), strict=True))
    return [entries[end - count : end] for count, end in zip(near.counts, ends, strict=True)]


def _assert_exact(near: Neighbours, codes: np.ndarray) -> None:
    for found, (best, n_enough), complete in zip(_lists(near), _by_brute_force(codes), near.complete, strict=True):
        assert found == best[: len(found)]
        assert len(found) == n_enough if complete else N_NEAREST <= len(found) <= N_KEPT


changes = st.lists(st.sets(st.integers(0, POOL - 1), min_size=2, max_size=POOL), min_size=1, max_size=4)


@settings(max_examples=15)
@given(sets=changes)
def test_lists_are_exact_after_any_changes(sets: list[set[int]]) -> None:
    near = NOBODY
    for places in sets:
        digests, codes = _set(sorted(places))
        near = renewed(near, digests, codes)
        _assert_exact(near, codes)


def test_lists_are_exact_after_many_small_changes() -> None:
    rng, near, present = np.random.default_rng(1), NOBODY, set(range(150))
    for _ in range(12):
        digests, codes = _set(sorted(present))
        near = renewed(near, digests, codes)
        _assert_exact(near, codes)
        gone = set(rng.choice(sorted(present), 8, replace=False).tolist())
        present = (present - gone) | set(rng.choice(sorted(set(range(POOL)) - present), 9, replace=False).tolist())


def test_only_what_is_new_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counted(codes: np.ndarray, rows: np.ndarray):  # type: ignore[no-untyped-def]
        compared.append(len(rows))
        return best_scores(codes, rows)

    monkeypatch.setattr("transfer.data.neighbours.best_scores", counted)
    digests, codes = _set(range(200))
    near = renewed(NOBODY, digests, codes)
    renewed(near, *_set(range(3, 204)))
    n_new = len(_set(range(204))[0]) - len(digests)
    assert compared == [int(codes.any(axis=1).sum()), n_new]
    assert renewed(near, digests, codes) is near


def test_bounds_hold_where_images_are_many() -> None:
    """More than 2048, where the greatest of groups tell what need not be looked at; a thousand have one code."""
    rng = np.random.default_rng(0)
    codes = np.rint(rng.normal(size=(2200, 64)) * 15).astype(np.int8)
    codes[:1000] = codes[0]
    codes[1000:1300] = np.clip(codes[1000].astype(int) + rng.integers(-2, 3, (300, 64)), -127, 127)
    digests = np.array([f"{place:032d}" for place in range(2200)], dtype="S32")
    near = renewed(NOBODY, digests, codes)
    _assert_exact(near, codes)


def test_scores_are_the_greatest_of_eight_turns() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-40, 41, (700, 64)).astype(np.int8)
    turned = [turn.of_frequencies(codes.astype(np.float32).reshape(-1, 8, 8)).reshape(-1, 64) for turn in TURNS]
    expected = np.stack([codes.astype(float) @ other.astype(float).T for other in turned])
    rows = np.sort(rng.choice(700, 300, replace=False))
    found = np.concatenate([scores.copy() for _, scores in best_scores(codes, rows)])
    assert np.array_equal(found, expected.max(axis=0)[rows])
    first, second = rng.integers(0, 700, (2, 100))
    assert np.array_equal(best_turns(codes, first, second), expected[:, first, second].argmax(axis=0))


def test_codes_are_cosines_of_the_lowest_frequencies() -> None:
    images = np.random.default_rng(0).normal(size=(60, 4, 4)).astype(np.float32).repeat(8, 1).repeat(8, 2)
    low = frequencies(images, 8).astype(float).reshape(60, -1)
    unit = low / np.linalg.norm(low, axis=1, keepdims=True)
    codes = codes_of(images).astype(float)
    assert np.allclose(codes @ codes.T / 127**2, unit @ unit.T, atol=0.02)


@pytest.mark.parametrize(("steps", "size"), [(3, 16), (6, 32)])
def test_a_distance_does_not_depend_on_what_else_is_compared(steps: int, size: int) -> None:
    images = smoothed(_pool())
    images = halved(images) if size == 16 else images
    rng = np.random.default_rng(0)
    one, other = images[rng.integers(0, POOL, 700)], images[rng.integers(0, POOL, 700)]
    for turn in (TURNS[0], TURNS[6]):
        together = distances(one, turn.of_pixels(other), steps)
        cuts = [0, 1, 2, 5, 40, 41, 200, 700]
        apart = [distances(one[a:b], turn.of_pixels(other[a:b]), steps) for a, b in itertools.pairwise(cuts)]
        assert np.array_equal(np.concatenate(apart), together)


few = st.lists(st.sets(st.integers(0, 80), min_size=2, max_size=80), min_size=1, max_size=3)


@settings(max_examples=5)
@given(sets=few, seed=st.integers(0, 1000))
def test_a_search_with_what_is_known_finds_what_one_without_finds(sets: list[set[int]], seed: int) -> None:
    rng, known = np.random.default_rng(seed), None
    for places in sets:
        images = _pool()[rng.permutation([*places, *sorted(places)[:3]])]
        found, fresh = near_duplicates(images, known), near_duplicates(images)
        assert found.pairs == fresh.pairs
        for name in ("first", "second", "coarse", "fine"):
            assert np.array_equal(getattr(found.known, name), getattr(fresh.known, name), equal_nan=name == "fine")
        known = found.known
        assert near_duplicates(images[::-1], known).known is known


def test_only_pairs_that_are_new_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    known = near_duplicates(_pool()[:70]).known
    n_aligned: list[int] = []
    batch = alignment._batch  # what does the work; counting around it is what a cost is

    def counted(fixed: np.ndarray, moving: np.ndarray, steps: int) -> np.ndarray:
        n_aligned.append(len(fixed))
        return batch(fixed, moving, steps)

    monkeypatch.setattr(alignment, "_batch", counted)
    near_duplicates(_pool()[:70], known)
    assert sum(n_aligned) == 2000
    n_aligned.clear()
    later = near_duplicates(_pool()[:73], known).known
    new = ~np.isin(later.neighbours.digests, known.neighbours.digests)
    assert sum(n_aligned) - 2000 <= 3 * (new[later.first] | new[later.second]).sum()


@cache
def _known() -> Known:
    return near_duplicates(_pool()[:60]).known


@pytest.mark.parametrize("what", ["others", "scores", "counts", "digests", "codes", "complete"])
def test_what_cannot_be_is_refused(what: str) -> None:
    near = _known().neighbours
    values = {name: getattr(near, name) for name in ("digests", "codes", "complete", "counts", "others", "scores")}
    value = values[what]
    wrong = [value[:-1]] + ([value[::-1]] if what in ("digests", "others", "scores") else [])
    if what in ("others", "counts"):
        wrong += [np.where(np.arange(len(value)) == 3, bad, value) for bad in (-1, 10**6)]
    for bad in wrong:
        with pytest.raises(ValueError, match="neighbours"):
            Neighbours(**{**values, what: bad})


@pytest.mark.parametrize("what", ["first", "second", "coarse", "fine"])
def test_pairs_that_cannot_be_are_refused(what: str) -> None:
    known = _known()
    values = {name: getattr(known, name) for name in ("neighbours", "first", "second", "coarse", "fine")}
    wrong = [values[what][1:]] + ([values[what][::-1], values[what] + 60] if what in ("first", "second") else [])
    for bad in wrong:
        with pytest.raises(ValueError, match="pairs"):
            Known(**{**values, what: bad})


@settings(max_examples=4)
@given(seed=st.integers(0, 10_000))
def test_lies_that_could_be_true_end_in_an_answer(seed: int) -> None:
    """What lies on a disk may be forged: a search that begins with it finds something or nothing, and ends."""
    rng, known = np.random.default_rng(seed), _known()
    near = known.neighbours
    lies = Neighbours(
        near.digests,
        np.where(rng.random(near.codes.shape) < 0.3, rng.integers(-30, 31, near.codes.shape), near.codes).astype(
            np.int8
        ),
        rng.random(len(near.complete)) < 0.5,
        near.counts,
        near.others,
        near.scores + int(rng.integers(0, 3000)),
    )
    numbers = [rng.choice([np.nan, -1.0, 0.0, 0.02, 9.0, np.inf], len(known.coarse)).astype(np.float32) for _ in "12"]
    for begin, end in ((0, 60), (0, 0), (10, 70)):
        found = near_duplicates(_pool()[begin:end], Known(lies, known.first, known.second, *numbers))
        assert all(0 <= pair.first < pair.second < end - begin for pair in found.pairs)
        assert all(pair.apart <= MOST_APART for pair in found.pairs)
        assert len(found.known.neighbours.digests) == len(np.unique(_pool()[begin:end], axis=0))
