"""Copies of images that are not byte-identical: resized, encoded anew, cropped, mirrored, turned, lit otherwise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.data.alignment import distances, halved, smoothed
from transfer.data.lookalikes import Lookalikes, frequencies, lookalikes
from transfer.data.turns import TURNS

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


def near_duplicates(
    thumbnails: NDArray[np.uint8], advance: Callable[[int], None] = lambda _: None
) -> tuple[NearDuplicate, ...]:
    """Return the pairs of images that are copies, the most alike first.

    Images that look alike by their lowest frequencies are aligned. A pair is a copy where little remains apart
    (`MOST_APART`), and much less than what lies between either and the images around it: digits and drawings that only
    look alike have others as near. Where an image has more copies than are looked at, only those count that hardly
    differ at all, and only if the image is rich enough to tell.

    Args:
        thumbnails: 8-bit grey, (N, S, S), each the whole image squeezed into a square.
        advance: called with the number of images that were compared with all others since.
    """
    images = smoothed(thumbnails)
    places = np.flatnonzero(images.std(axis=(1, 2)) >= _LEAST_SPREAD)
    images = images[places]
    pairs = lookalikes(images, advance)
    small = halved(images)
    apart = _apart(small, pairs, _COARSE_STEPS)
    unlike = _unlike(small)
    floor = _FLOOR * max(0.0, unlike - _OF_DIGITS)
    around = np.maximum(_background(len(images), pairs, apart), floor)
    close = np.flatnonzero(apart <= _LOOKED_AT)
    fine = _apart(images, Lookalikes(pairs.first[close], pairs.second[close], pairs.turn[close]), _FINE_STEPS)
    apart = np.full(len(apart), _FAR, dtype=np.float32)
    apart[close] = fine
    rich = _detail(images) >= _ENOUGH_DETAIL
    lesser = np.minimum(around[pairs.first], around[pairs.second])
    stands_out = (apart <= min(MOST_APART, _OF_UNLIKE * unlike)) & (apart <= _MOST_OF_BACKGROUND * lesser)
    same = (apart <= _SAME) & rich[pairs.first] & rich[pairs.second]
    found = [
        NearDuplicate(int(places[pairs.first[at]]), int(places[pairs.second[at]]), float(np.round(apart[at], 4)))
        for at in np.flatnonzero(stands_out | same)
    ]
    return tuple(sorted(found, key=lambda pair: (pair.apart, pair.first, pair.second)))


def _apart(images: NDArray[np.float32], pairs: Lookalikes, steps: int) -> NDArray[np.float32]:
    """Return the distance of each pair, the second laid as it is most like the first."""
    apart = np.zeros(len(pairs.first), dtype=np.float32)
    for place, turn in enumerate(TURNS):
        members = np.flatnonzero(pairs.turn == place)
        for start in range(0, len(members), _PART):
            part = members[start : start + _PART]
            apart[part] = distances(images[pairs.first[part]], turn.of_pixels(images[pairs.second[part]]), steps)
    return apart


def _background(n_images: int, pairs: Lookalikes, apart: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far from each image the third to sixteenth nearest is, the farther the more images there are."""
    near = np.concatenate([apart, apart])
    whose = np.concatenate([pairs.first, pairs.second])
    order = np.lexsort((near, whose))
    near, whose = near[order], whose[order]
    begins = np.searchsorted(whose, np.arange(n_images))
    ends = np.searchsorted(whose, np.arange(n_images), side="right")
    wanted = begins + int(np.clip(n_images // _PER_RANK, *_RANKS)) - 1
    found = np.full(n_images, _FAR, dtype=np.float32)
    known = wanted < ends
    found[known] = np.minimum(near[wanted[known]], _FAR)
    return found


def _unlike(images: NDArray[np.float32]) -> float:
    """Return how far the more alike of random pairs are from each other: about 0.4 of photographs, 0.1 to 0.25 of digits.

    It hardly changes where an image in ten has a copy, which the nearest images would.
    """
    if len(images) < 2:
        return 1.0
    draw = np.random.default_rng(0)
    one = draw.integers(0, len(images), _N_RANDOM)
    other = (one + draw.integers(1, len(images), _N_RANDOM)) % len(images)
    return float(np.quantile(distances(images[one], images[other], _COARSE_STEPS), _LOW_QUANTILE))


def _detail(images: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return how many frequencies hold 99 % of the variance of each image."""
    counts = []
    for start in range(0, len(images), _PART):
        power = frequencies(images[start : start + _PART], images.shape[1]) ** 2
        ordered = -np.sort(-power.reshape(len(power), -1), axis=1)
        counts.append((ordered.cumsum(axis=1) < _DETAIL_SHARE * ordered.sum(axis=1, keepdims=True)).sum(axis=1) + 1)
    return np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)
