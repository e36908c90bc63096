"""How alike images are by their lowest frequencies, in the best of the eight turns of a square: whole numbers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from transfer.data.turns import TURNS

Codes = NDArray[np.int8]
Scores = NDArray[np.float32]
Places = NDArray[np.int64]

CODE_LENGTH = 64
_FREQUENCIES = 8
_LEVELS = 127  # products of 63 such whole numbers sum up exactly in float32, in whatever order
LEAST_SCORE = 8065  # a cosine of one half
_BLOCK, _TILE = 128, 512  # rows at once, and columns whose partial sums stay in the processor's cache
_PART = 8192


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


def codes_of(images: NDArray[np.float32]) -> Codes:
    """Return the 8 x 8 lowest frequencies as unit vectors times 127 in whole numbers.

    They are those whose signs make the perceptual hash, kept as numbers: of copies cropped to nine tenths of each side,
    the 64 signs find far fewer.

    Args:
        images: (N, S, S); S at least 8.

    Returns:
        (N, 64), all 0 for an image without structure.
    """
    flat = frequencies(images, _FREQUENCIES).reshape(-1, CODE_LENGTH)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    codes: Codes = np.rint(flat / np.maximum(length, 1.0) * _LEVELS).astype(np.int8)
    return codes


def best_turns(codes: Codes, first: Places, second: Places) -> Places:
    """Return the place in `TURNS` of how the second of each pair lies when it is most like the first, of equals the first.

    Args:
        codes: (N, 64).
        first: (P,) rows of `codes`.
        second: (P,) rows of `codes`.
    """
    squares = codes.astype(np.float32).reshape(-1, _FREQUENCIES, _FREQUENCIES)
    turned = [turn.of_frequencies(squares).reshape(-1, CODE_LENGTH) for turn in TURNS]
    found = np.zeros(len(first), dtype=np.int64)
    for start in range(0, len(first), _PART):
        one, other = turned[0][first[start : start + _PART]], second[start : start + _PART]
        scores = np.stack([np.einsum("pk,pk->p", one, others[other]) for others in turned])
        found[start : start + _PART] = scores.argmax(axis=0)
    return found


def best_scores(codes: Codes, rows: Places) -> Iterator[tuple[Places, Scores]]:
    """Yield some of the rows, and how like each of them is to all images: the products of their codes in the best turn.

    Reversing an axis changes the sign of its odd frequencies. So the products of even and odd rows and columns, each
    summed by itself, tell those of four turns: ee + eo + oe + oo with the signs ++++, +-+-, ++--, +--+, of which the
    greatest is the greater of (ee + oo) + |eo + oe| and (ee - oo) + |eo - oe|. The other four are those of the
    transposed image.

    Args:
        codes: (N, 64).
        rows: (R,) rows of `codes`.

    Yields:
        Up to 128 of `rows`, and (those, N) whole numbers; the array is overwritten by the next ones.
    """
    by_parity = [np.ascontiguousarray(part.T) for part in _by_parity(codes)]
    best = np.empty((min(_BLOCK, len(rows)), len(codes)), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        upright = codes[part]
        lying = upright.reshape(-1, _FREQUENCIES, _FREQUENCIES).transpose(0, 2, 1).reshape(-1, CODE_LENGTH)
        both = [np.concatenate([one, other]) for one, other in zip(_by_parity(upright), _by_parity(lying), strict=True)]
        for left in range(0, len(codes), _TILE):
            tile = [one[:, left : left + _TILE] for one in by_parity]
            scores = _of_four_turns(both, tile)
            np.maximum(scores[: len(part)], scores[len(part) :], out=best[: len(part), left : left + _TILE])
        yield part, best[: len(part)]


def _by_parity(codes: Codes) -> list[Scores]:
    """Return the frequencies of even rows and columns, of even rows and odd columns, and so on, (N, 16) each."""
    squares = codes.reshape(-1, _FREQUENCIES, _FREQUENCIES).astype(np.float32)
    return [squares[:, row::2, column::2].reshape(-1, CODE_LENGTH // 4) for row in (0, 1) for column in (0, 1)]


def _of_four_turns(rows: list[Scores], columns: list[Scores]) -> Scores:
    even, mixed, other, odd = (one @ two for one, two in zip(rows, columns, strict=True))
    added = np.abs(mixed + other)
    mixed -= other
    np.abs(mixed, out=mixed)
    added += even
    added += odd
    mixed += even
    mixed -= odd
    best: Scores = np.maximum(added, mixed, out=added)
    return best
