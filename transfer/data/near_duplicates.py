"""Copies of images that are not byte-identical: resized, encoded anew, cropped, mirrored, turned, lit otherwise."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.data.alignment import distances, halved, smoothed
from transfer.data.lookalikes import Codes, Places, best_turns, codes_of, frequencies
from transfer.data.neighbours import DIGEST_BYTES, N_NEAREST, NOBODY, Neighbours, places_in, renewed
from transfer.data.turns import TURNS

Thumbnails = NDArray[np.uint8]
Distances = NDArray[np.float32]

MOST_APART = 0.03
_MOST_OF_BACKGROUND = 0.12
_RANKS, _PER_RANK = (3, 16), 100  # which of the nearest images is the background: one a 100 images, within these
_FAR = 0.3  # the distance of images that are not even alike
_COARSE_STEPS, _FINE_STEPS, _LOOKED_AT = 3, 6, 0.06
_N_RANDOM, _LOW_QUANTILE = 2000, 0.05
_OF_DIGITS, _FLOOR, _OF_UNLIKE = 0.3, 0.8, 0.1
_SAME, _ENOUGH_DETAIL = 0.002, 60
_DETAIL_SHARE = 0.99
_LEAST_SPREAD = 4.0  # grey levels; below, an image is one colour and tells nothing
_PART = 8192


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two images that show the same.

    Args:
        first: place of the one.
        second: place of the other, greater than `first`.
        apart: 1 - correlation after alignment, in [0, 0.03].
    """

    first: int
    second: int
    apart: float


@dataclass(frozen=True, eq=False)
class Known:
    """What comparing a set of images told, for the next search among them and others.

    Args:
        neighbours: of each image.
        first: (P,) images of the pairs that were aligned, places in `neighbours`; pairs are sorted.
        second: (P,) greater than `first`.
        coarse: (P,) how far apart at half the size.
        fine: (P,) how far apart at full size; nan where that was not asked.
    """

    neighbours: Neighbours
    first: Places
    second: Places
    coarse: Distances
    fine: Distances

    def __post_init__(self) -> None:
        """Refuse what cannot be: it may come from a file.

        Raises:
            ValueError: lengths that do not fit, pairs in no order, or images that are not there.
        """
        n = len(self.neighbours.digests)
        if not (
            self.first.shape == self.second.shape == self.coarse.shape == self.fine.shape
            and bool(np.all((self.first >= 0) & (self.first < self.second) & (self.second < n)))
            and bool(np.all(np.diff(self.first * n + self.second) > 0))
        ):
            raise ValueError("these are no pairs")


@dataclass(frozen=True)
class Found:
    """What a search found.

    Args:
        pairs: that are copies, the most alike first.
        known: for the next search; the very same as before where the images are.
    """

    pairs: tuple[NearDuplicate, ...]
    known: Known


_NOTHING = Known(NOBODY, NOBODY.others, NOBODY.others, *(np.zeros(0, dtype=np.float32) for _ in range(2)))


def near_duplicates(
    thumbnails: Thumbnails, known: Known | None = None, advance: Callable[[int], None] = lambda _: None
) -> Found:
    """Find the pairs of images that are copies: with what is known of an earlier set the same ones, only sooner.

    Images that look alike by their lowest frequencies are aligned. A pair is a copy where little remains apart
    (`MOST_APART`), and much less than what lies between either and the images around it: digits and drawings that only
    look alike have others as near. Where an image has more copies than are looked at, only those count that hardly
    differ at all, and only if the image is rich enough to tell. Images whose thumbnails are equal count once; each
    but the first makes a pair with the first.

    Args:
        thumbnails: 8-bit grey, (N, S, S), each the whole image squeezed into a square.
        known: what an earlier search among any images told.
        advance: called with the number of images that need no more comparing since.
    """
    digests, places, which = np.unique(_digests(thumbnails), return_index=True, return_inverse=True)
    earlier = _NOTHING if known is None else known
    single = thumbnails[places]
    advance(len(thumbnails) - len(single))
    codes = _codes(earlier.neighbours, digests, single)
    neighbours = renewed(earlier.neighbours, digests, codes, advance)
    later = earlier if neighbours is earlier.neighbours else _aligned(earlier, neighbours, single)
    is_copy, apart = _copies(later, single)
    pairs = [
        *zip(places[later.first[is_copy]].tolist(), places[later.second[is_copy]].tolist(), apart.tolist(), strict=True),
        *((int(places[which[at]]), at, 0.0) for at in _repeated(codes, places, which)),
    ]
    ordered = sorted((apart, min(one, other), max(one, other)) for one, other, apart in pairs)
    return Found(tuple(NearDuplicate(one, other, apart) for apart, one, other in ordered), later)


def _digests(thumbnails: Thumbnails) -> NDArray[np.bytes_]:
    joined = b"".join(hashlib.sha256(image.tobytes()).digest() for image in thumbnails)
    return np.frombuffer(joined, dtype=f"S{DIGEST_BYTES}")


def _codes(known: Neighbours, digests: NDArray[np.bytes_], thumbnails: Thumbnails) -> Codes:
    """Return the code of each image, 0 for one of a single colour; known ones are not computed again."""
    at = places_in(known.digests, digests)
    codes = np.zeros((len(digests), known.codes.shape[1]), dtype=np.int8)
    codes[at >= 0] = known.codes[at[at >= 0]]
    new = np.flatnonzero(at < 0)
    for start in range(0, len(new), _PART):
        part = new[start : start + _PART]
        images = smoothed(thumbnails[part])
        codes[part] = np.where(images.std(axis=(1, 2))[:, None] >= _LEAST_SPREAD, codes_of(images), 0)
    return codes


def _repeated(codes: Codes, places: Places, which: Places) -> list[int]:
    """Return the places of images that are equal to an earlier one, and not of a single colour."""
    is_repeated = np.ones(len(which), dtype=bool)
    is_repeated[places] = False
    structured: NDArray[np.bool_] = np.any(codes, axis=1)
    found: list[int] = np.flatnonzero(is_repeated & structured[which]).tolist()
    return found


def _aligned(known: Known, neighbours: Neighbours, thumbnails: Thumbnails) -> Known:
    """Return the pairs of images of which one is among the nearest of the other, with their distances."""
    n = len(neighbours.digests)
    ranks = np.arange(len(neighbours.others)) - np.repeat(
        np.cumsum(neighbours.counts) - neighbours.counts, neighbours.counts
    )
    rows, others = neighbours.rows[ranks < N_NEAREST], neighbours.others[ranks < N_NEAREST]
    keys = np.unique(np.minimum(rows, others) * n + np.maximum(rows, others))
    first, second = np.divmod(keys, n)
    coarse, fine = _carried(known, neighbours.digests, keys)
    new = np.flatnonzero(np.isnan(coarse))
    coarse[new] = _apart(thumbnails, neighbours.codes, first[new], second[new], fine=False)
    close = np.flatnonzero((coarse <= _LOOKED_AT) & np.isnan(fine))
    fine[close] = _apart(thumbnails, neighbours.codes, first[close], second[close], fine=True)
    return Known(neighbours, first, second, coarse, fine)


def _carried(known: Known, digests: NDArray[np.bytes_], keys: Places) -> tuple[Distances, Distances]:
    """Return the known distances of pairs, nan where there are none."""
    coarse, fine = np.full(len(keys), np.nan, dtype=np.float32), np.full(len(keys), np.nan, dtype=np.float32)
    places = places_in(digests, known.neighbours.digests)
    one, other = places[known.first], places[known.second]
    there = np.flatnonzero((one >= 0) & (other >= 0))
    if len(there) and len(keys):
        before = one[there] * len(digests) + other[there]  # ascending: digests are
        at = np.minimum(np.searchsorted(before, keys), len(before) - 1)
        same = before[at] == keys
        coarse[same], fine[same] = known.coarse[there[at[same]]], known.fine[there[at[same]]]
    return coarse, fine


def _copies(known: Known, thumbnails: Thumbnails) -> tuple[Places, Distances]:
    """Return which pairs are copies, and how far apart these are."""
    structured = np.flatnonzero(known.neighbours.codes.any(axis=1))
    unlike = _unlike(thumbnails, structured)
    floor = _FLOOR * max(0.0, unlike - _OF_DIGITS)
    background = _background(len(thumbnails), len(structured), known)
    around = np.maximum(background, floor)
    lesser = np.minimum(around[known.first], around[known.second])
    apart = np.where(known.coarse <= _LOOKED_AT, known.fine, np.float32(_FAR))
    stands_out = (apart <= min(MOST_APART, _OF_UNLIKE * unlike)) & (apart <= _MOST_OF_BACKGROUND * lesser)
    same = np.flatnonzero(~stands_out & (apart <= _SAME))
    stands_out[same] = _is_rich(thumbnails, known.first[same]) & _is_rich(thumbnails, known.second[same])
    found = np.flatnonzero(stands_out)
    return found, apart[found]


def _apart(thumbnails: Thumbnails, codes: Codes, first: Places, second: Places, *, fine: bool) -> Distances:
    """Return the distance of each pair, the second turned as it is most like the first."""
    members, pairs = np.unique(np.concatenate([first, second]), return_inverse=True)
    images, steps = (_full(thumbnails, members), _FINE_STEPS) if fine else (_small(thumbnails, members), _COARSE_STEPS)
    one, other = pairs[: len(first)], pairs[len(first) :]
    turns = best_turns(codes[members], one, other)
    apart = np.zeros(len(first), dtype=np.float32)
    for place, turn in enumerate(TURNS):
        of_turn = np.flatnonzero(turns == place)
        for start in range(0, len(of_turn), _PART):
            part = of_turn[start : start + _PART]
            fixed, laid = images[one[part]], np.ascontiguousarray(turn.of_pixels(images[other[part]]))
            apart[part] = distances(fixed, laid, steps)
            if fine:  # of a crop and its whole, laying the one over the other comes nearer than the reverse
                apart[part] = np.minimum(apart[part], distances(laid, fixed, steps))
    return apart


def _full(thumbnails: Thumbnails, members: Places) -> NDArray[np.float32]:
    """Return some images as they are aligned at full size."""
    side = thumbnails.shape[1]
    images = np.empty((len(members), side, side), dtype=np.float32)
    for start in range(0, len(members), _PART):
        images[start : start + _PART] = smoothed(thumbnails[members[start : start + _PART]])
    return images


def _small(thumbnails: Thumbnails, members: Places) -> NDArray[np.float32]:
    """Return some images as they are aligned at half the size."""
    side = thumbnails.shape[1] // 2
    images = np.empty((len(members), side, side), dtype=np.float32)
    for start in range(0, len(members), _PART):
        images[start : start + _PART] = halved(smoothed(thumbnails[members[start : start + _PART]]))
    return images


def _background(n_images: int, n_structured: int, known: Known) -> Distances:
    """Return how far from each image the third to sixteenth nearest is, the farther the more images there are."""
    bits = (known.coarse + np.float32(0)).view(np.uint32)  # of numbers from 0 on they are in the order of the numbers
    ordered = np.sort(np.concatenate([known.first, known.second]).astype(np.uint64) << 32 | np.concatenate([bits, bits]))
    near, whose = (ordered & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.float32), ordered >> np.uint64(32)
    begins = np.searchsorted(whose, np.arange(n_images))
    ends = np.searchsorted(whose, np.arange(n_images), side="right")
    wanted = begins + int(np.clip(n_structured // _PER_RANK, *_RANKS)) - 1
    found = np.full(n_images, _FAR, dtype=np.float32)
    is_there = wanted < ends
    found[is_there] = np.minimum(near[wanted[is_there]], _FAR)
    return found


def _unlike(thumbnails: Thumbnails, members: Places) -> float:
    """Return how far the more alike of random pairs are from each other: about 0.4 of photographs, 0.1 to 0.25 of digits.

    It hardly changes where an image in ten has a copy, which the nearest images would.
    """
    if len(members) < 2:
        return 1.0
    draw = np.random.default_rng(0)
    one = draw.integers(0, len(members), _N_RANDOM)
    other = (one + draw.integers(1, len(members), _N_RANDOM)) % len(members)
    drawn = distances(_small(thumbnails, members[one]), _small(thumbnails, members[other]), _COARSE_STEPS)
    return float(np.quantile(drawn, _LOW_QUANTILE))


def _is_rich(thumbnails: Thumbnails, members: Places) -> NDArray[np.bool_]:
    """Say whether 99 % of the variance of an image takes many frequencies."""
    rich = np.zeros(len(members), dtype=bool)
    for start in range(0, len(members), _PART):
        images = smoothed(thumbnails[members[start : start + _PART]])
        power = frequencies(images, images.shape[1]) ** 2
        ordered = -np.sort(-power.reshape(len(power), -1), axis=1)
        n_frequencies = (ordered.cumsum(axis=1) < _DETAIL_SHARE * ordered.sum(axis=1, keepdims=True)).sum(axis=1) + 1
        rich[start : start + _PART] = n_frequencies >= _ENOUGH_DETAIL
    return rich
