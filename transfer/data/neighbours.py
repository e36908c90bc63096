"""Which images are most like each image of a set, found anew only where the set has changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.data.lookalikes import CODE_LENGTH, LEAST_SCORE, Codes, Places, Scores, best_scores

N_NEAREST = 24
N_KEPT = 32  # some of them may be removed before an image's are sought again
DIGEST_BYTES = 32
_GROUP = 64  # images of whose scores the greatest bounds what is looked at
_MORE_THAN_SCORES = 1 << 16


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The images most like each, the most alike first, of equals the one with the lesser digest.

    Args:
        digests: (N,) of 32 bytes, ascending, each once: which images they are.
        codes: (N, 64) of the images, all 0 for one that is compared with none.
        complete: (N,) whether all whose score is at least `LEAST_SCORE` are among an image's.
        counts: (N,) how many are an image's, at most `N_KEPT`.
        others: (sum of counts,) who, image after image.
        scores: (sum of counts,) how alike.
    """

    digests: NDArray[np.bytes_]
    codes: Codes
    complete: NDArray[np.bool_]
    counts: Places
    others: Places
    scores: Places

    def __post_init__(self) -> None:
        """Refuse what cannot be: it may come from a file.

        Raises:
            ValueError: lengths that do not fit, an order that is none, or images that are not there.
        """
        n, n_entries = len(self.digests), int(self.counts.sum())
        if not (
            self.codes.shape == (n, CODE_LENGTH)
            and self.complete.shape == self.counts.shape == (n,)
            and bool(np.all((self.counts >= 0) & (self.counts <= N_KEPT)))
            and self.others.shape == self.scores.shape == (n_entries,)
            and bool(np.all(np.einsum("nk,nk->n", self.codes, self.codes, dtype=np.int64) < _MORE_THAN_SCORES))
            and bool(np.all((self.scores >= LEAST_SCORE) & (self.scores < _MORE_THAN_SCORES)))
            and bool(np.all(self.digests[1:] > self.digests[:-1]))
            and bool(np.all((self.others >= 0) & (self.others < n) & (self.others != self.rows)))
        ):
            raise ValueError("these are no neighbours of images")
        score_falls, other_rises = np.diff(self.scores), np.diff(self.others)
        is_later = (score_falls < 0) | ((score_falls == 0) & (other_rises > 0))
        if not bool(np.all(is_later | (np.diff(self.rows) > 0))):
            raise ValueError("these neighbours are in no order")

    @property
    def rows(self) -> Places:
        """Return whose each entry of `others` is."""
        return np.repeat(np.arange(len(self.digests)), self.counts)


NOBODY = Neighbours(
    np.zeros(0, dtype=f"S{DIGEST_BYTES}"),
    np.zeros((0, CODE_LENGTH), dtype=np.int8),
    np.zeros(0, dtype=bool),
    *(np.zeros(0, dtype=np.int64) for _ in range(3)),
)


@dataclass(frozen=True, eq=False)
class _Entries:
    """Lines of several images' lists, in any order."""

    rows: Places
    others: Places
    scores: Places

    def of(self, chosen: NDArray[np.bool_]) -> "_Entries":
        return _Entries(self.rows[chosen], self.others[chosen], self.scores[chosen])

    def ranked(self, n: int) -> "tuple[_Entries, Places]":
        """Return them sorted, each row's best first, and the rank of each in its row; `n` is how many images there are."""
        key = (self.rows * _MORE_THAN_SCORES - self.scores) * n + self.others
        order = np.argsort(key, kind="stable")  # takes little time where most of it is sorted
        rows = self.rows[order]
        counts = np.bincount(rows)
        begins = np.cumsum(counts) - counts
        return _Entries(rows, self.others[order], self.scores[order]), np.arange(len(rows)) - begins[rows]


@dataclass(frozen=True, eq=False)
class _Edges:
    """What a new image has to be nearer than to enter each image's list: a score, and the place of one that has it."""

    scores: Scores
    others: Places

    def of(self, chosen: Places) -> "_Edges":
        return _Edges(self.scores[chosen], self.others[chosen])


def places_in(digests: NDArray[np.bytes_], sought: NDArray[np.bytes_]) -> Places:
    """Return where each sought digest is among ascending ones, -1 where it is not."""
    if not len(digests):
        return np.full(len(sought), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(digests, sought), len(digests) - 1)
    return np.where(digests[at] == sought, at, -1).astype(np.int64)


def renewed(
    known: Neighbours, digests: NDArray[np.bytes_], codes: Codes, advance: Callable[[int], None] = lambda _: None
) -> Neighbours:
    """Return each image's neighbours in a set: the first `N_NEAREST` are those that comparing all with all would give.

    A new image is compared with all others. From the list of a known one, those are struck that are gone, and new ones
    enter it where they are nearer than the last that is left; what lies behind that one is not known. Where fewer than
    `N_NEAREST` are left of a list that was cut, the image is compared with all others again.

    Args:
        known: of an earlier set.
        digests: (N,), ascending.
        codes: (N, 64).
        advance: called with the number of images that need no more comparing since.
    """
    if np.array_equal(known.digests, digests):
        advance(len(digests))
        return known
    entries, complete, is_known = _carried(known, digests)
    counts = np.bincount(entries.rows, minlength=len(digests))
    is_plain = ~codes.any(axis=1)
    is_due = ~is_plain & (~is_known | (~complete & (counts < N_NEAREST)))
    complete |= is_plain
    standing = ~is_due & ~is_plain
    edges = _edges(entries, counts, complete, standing)
    found, due = [entries.of(standing[entries.rows])], np.flatnonzero(is_due)
    advance(len(digests) - len(due))
    for rows, scores in best_scores(codes, due):
        scores[np.arange(len(rows)), rows] = -np.inf
        if standing.any():
            found.append(_entering(rows, scores, edges, ~is_known[rows]))
        nearest, complete[rows] = _nearest(rows, scores)
        found.append(nearest)
        advance(len(rows))
    every, ranks = _joined(found).ranked(len(digests))
    complete &= np.bincount(every.rows, minlength=len(digests)) <= N_KEPT
    every = every.of(ranks < N_KEPT)
    counts = np.bincount(every.rows, minlength=len(digests))
    return Neighbours(digests, codes, complete, counts, every.others, every.scores)


def _carried(known: Neighbours, digests: NDArray[np.bytes_]) -> tuple[_Entries, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what is left of known lists in another set, sorted; whether each is complete, and whether it was there."""
    places = places_in(digests, known.digests)  # ascending as well, but for the gone
    entries = _Entries(places[known.rows], places[known.others], known.scores)
    complete, is_known = np.zeros(len(digests), dtype=bool), np.zeros(len(digests), dtype=bool)
    there = places >= 0
    complete[places[there]], is_known[places[there]] = known.complete[there], True
    return entries.of((entries.rows >= 0) & (entries.others >= 0)), complete, is_known


def _edges(entries: _Entries, counts: Places, complete: NDArray[np.bool_], standing: NDArray[np.bool_]) -> _Edges:
    """Return the last of each list that was cut, `LEAST_SCORE` of one that is complete, and what none reaches of others."""
    scores = np.where(standing, LEAST_SCORE, np.inf).astype(np.float32)
    others = np.full(len(counts), len(counts))
    was_cut = standing & ~complete
    last = np.cumsum(counts)[was_cut] - 1
    scores[was_cut], others[was_cut] = entries.scores[last], entries.others[last]
    return _Edges(scores, others)


def _entering(rows: Places, scores: Scores, edges: _Edges, is_new: NDArray[np.bool_]) -> _Entries:
    """Return the new ones of some rows as entries of the lists that they are near enough for."""
    at, whose = np.nonzero((scores >= edges.scores) & is_new[:, None])
    entries, edge = _Entries(whose, rows[at], scores[at, whose].astype(np.int64)), edges.of(whose)
    return entries.of((entries.scores > edge.scores) | (entries.others < edge.others))


def _nearest(rows: Places, scores: Scores) -> tuple[_Entries, NDArray[np.bool_]]:
    """Return the `N_KEPT` nearest of each row, and whether they are all whose score is at least `LEAST_SCORE`."""
    bounds = _bounds(scores)
    at, others = np.nonzero(scores >= bounds[:, None])
    values = scores[at, others]
    counts = np.bincount(at, minlength=len(rows))
    complete = (bounds <= LEAST_SCORE) & (counts <= N_KEPT)
    tied = values == bounds[at]
    n_tied = np.cumsum(tied) - tied  # before each
    begins = np.minimum(np.cumsum(counts) - counts, max(0, len(at) - 1))
    few = ~tied | (n_tied - n_tied[begins][at] < N_KEPT) if len(at) else tied
    found, ranks = _Entries(at, others, values.astype(np.int64)).of(few).ranked(scores.shape[1])
    found = found.of(ranks < N_KEPT)
    return _Entries(rows[found.rows], found.others, found.scores), complete


def _bounds(scores: Scores) -> Scores:
    """Return for each row a score that at least `N_KEPT` reach, or `LEAST_SCORE` where that is greater.

    It is the `N_KEPT`th greatest of the greatest scores of disjoint groups, which takes one pass and leaves few.
    """
    n_groups = scores.shape[1] // _GROUP
    if n_groups < N_KEPT:
        return np.full(len(scores), LEAST_SCORE, dtype=np.float32)
    greatest = scores[:, : _GROUP * n_groups].reshape(len(scores), _GROUP, n_groups).max(axis=1)
    reached: Scores = np.partition(greatest, n_groups - N_KEPT, axis=1)[:, n_groups - N_KEPT]
    return np.maximum(reached, np.float32(LEAST_SCORE))


def _joined(parts: Sequence[_Entries]) -> _Entries:
    rows, others, scores = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "others", "scores")
    )
    return _Entries(rows, others, scores)
