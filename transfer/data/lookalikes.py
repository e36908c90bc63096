"""Which images of many may be copies of one another: the nearest by their lowest frequencies, in all eight turns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.data.turns import TURNS

Codes = NDArray[np.float32]

N_NEAREST = 24
_FREQUENCIES = 8
_LEVELS = 127  # products of 63 such whole numbers sum up exactly in float32, in whatever order
_BLOCK = 128
_LEAST_SCORE = 0.5


@dataclass(frozen=True)
class Lookalikes:
    """Pairs of images that may be copies, each once.

    Args:
        first: int64 (P,).
        second: int64 (P,), greater than `first`.
        turn: int64 (P,), the place in `TURNS` of how the second lies when it is most like the first.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    turn: NDArray[np.int64]


def frequencies(images: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Return the n x n lowest frequencies of the orthonormal cosine transform (DCT-II), the mean set to 0.

    Args:
        images: (N, S, S).
        n: at most S.
    """
    side = images.shape[1]
    wave = np.cos(np.pi * np.arange(n)[:, None] * (2 * np.arange(side)[None, :] + 1) / (2 * side))
    basis = (wave * np.where(np.arange(n) == 0, np.sqrt(1 / side), np.sqrt(2 / side))[:, None]).astype(np.float32)
    found: NDArray[np.float32] = basis @ images @ basis.T
    found[:, 0, 0] = 0
    return found


def lookalikes(images: NDArray[np.float32], advance: Callable[[int], None] = lambda _: None) -> Lookalikes:
    """Return for each image those most like it, at most `N_NEAREST`, of a cosine of at least 0.5.

    The 63 frequencies are those whose signs make the perceptual hash, kept as numbers: of copies cropped to nine
    tenths of each side, the 64 signs find far fewer. All pairs are looked at: the time grows with the square of N.

    Args:
        images: (N, S, S); S at least 8.
        advance: called with the number of images that were compared with all others since.
    """
    if len(images) < 2:
        empty = np.zeros(0, dtype=np.int64)
        return Lookalikes(empty, empty, empty)
    low = frequencies(images, _FREQUENCIES)
    codes = _codes(low)
    turned = [_codes(turn.of_frequencies(low)) for turn in TURNS]
    found = []
    for start in range(0, len(codes), _BLOCK):
        found.append(_nearest(codes, turned, start))
        advance(min(_BLOCK, len(codes) - start))
    one, other, turn = (np.concatenate(parts) for parts in zip(*found, strict=True))
    swapped = one > other
    first, second = np.where(swapped, other, one), np.where(swapped, one, other)
    turn = np.where(swapped, _INVERSE[turn], turn)
    _, kept = np.unique(first * len(codes) + second, return_index=True)
    return Lookalikes(first[kept], second[kept], turn[kept])


def _codes(low: NDArray[np.float32]) -> Codes:
    """Return unit vectors times 127 as whole numbers, and zeros for an image without structure."""
    flat = low.reshape(len(low), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    codes: Codes = np.rint(flat / np.maximum(length, 1.0) * _LEVELS)
    return codes


def _nearest(
    codes: Codes, turned: list[Codes], start: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return row, other row and turn of what is most like each row of a block."""
    block = codes[start : start + _BLOCK]
    best = np.full((len(block), len(codes)), -np.inf, dtype=np.float32)
    for others in turned:
        np.maximum(best, block @ others.T, out=best)
    rows = np.arange(len(block))
    best[rows, start + rows] = -np.inf
    wanted = min(N_NEAREST, len(codes) - 1)
    kept = np.argpartition(best, len(codes) - wanted, axis=1)[:, len(codes) - wanted :]
    enough = np.take_along_axis(best, kept, axis=1) >= _LEAST_SCORE * _LEVELS**2
    one, other = np.broadcast_to(rows[:, None], kept.shape)[enough], kept[enough]
    scores = np.stack([np.einsum("pk,pk->p", block[one], others[other]) for others in turned])
    return start + one, other, scores.argmax(axis=0)


def _inverses() -> NDArray[np.int64]:
    """Return the place of the turn that undoes each: transposing exchanges what is mirrored and what is upended."""
    undone = [
        (turn.transposed, turn.upended, turn.mirrored) if turn.transposed else (False, turn.mirrored, turn.upended)
        for turn in TURNS
    ]
    places = {(turn.transposed, turn.mirrored, turn.upended): place for place, turn in enumerate(TURNS)}
    return np.array([places[key] for key in undone], dtype=np.int64)


_INVERSE = _inverses()
