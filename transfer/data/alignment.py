"""How far two small images are from being one, when one may be cropped, scaled, lit or encoded otherwise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Numbers = NDArray[np.float32]

MOST_SCALE = 0.13  # a crop to nine tenths of a side is a scale of 1.11
_MOST_SHIFT = 1 / 8  # of the side
_LEAST_OVERLAP = 0.6
_STEP_SHIFT, _STEP_SCALE = 1 / 16, 0.08  # that one step may change at most
_LEAST_GAIN = 0.2  # a negative of an image is no copy
_UNKNOWN = 1.0  # of images that hardly overlap
_BATCH = 512


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the pixels of one image are sought in the other, along one axis: at scale * position + shift."""

    scale: Numbers
    shift: Numbers

    def moved(self, scale: Numbers, shift: Numbers, side: int) -> "_Place":
        """Return the place after a further small step, kept within what a crop can be."""
        return _Place(
            np.clip(self.scale * (1 + scale), 1 - MOST_SCALE, 1 + MOST_SCALE),
            np.clip(self.shift + self.scale * shift, -side * _MOST_SHIFT, side * _MOST_SHIFT),
        )


def smoothed(images: NDArray[np.uint8]) -> Images:
    """Return images blurred by the binomial kernel 1 2 1, which takes out what resampling alone changes.

    Args:
        images: (N, S, S).
    """
    padded = np.pad(images.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    blurred = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4
    return blurred.astype(np.float32, copy=False)


def halved(images: Images) -> Images:
    """Return images of half the side, each pixel the mean of four.

    Args:
        images: (N, S, S), S even.
    """
    n, side = len(images), images.shape[1] // 2
    small: Images = images.reshape(n, side, 2, side, 2).mean(axis=(2, 4), dtype=np.float32)
    return small


def distances(fixed: Images, moving: Images, steps: int) -> Numbers:
    """Return 1 - correlation of each pair after the second is laid over the first as well as it can be.

    Both axes have a scale and a shift of their own, found by Gauss-Newton steps from the images as they lie; gain and
    offset of the brightness are free. What does not overlap is left out. 0: the same but for light and crop.

    Args:
        fixed: (N, S, S).
        moving: (N, S, S), the other of each pair.
        steps: of the search, at least 0.

    Returns:
        (N,) in [0, 1], rounded to four decimals, so that it does not depend on the order of sums.

    Source: Lucas and Kanade, "An iterative image registration technique with an application to stereo vision", 1981;
    Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization", 2008.
    """
    found = [_batch(fixed[at : at + _BATCH], moving[at : at + _BATCH], steps) for at in range(0, len(fixed), _BATCH)]
    return np.round(np.concatenate(found), 4).astype(np.float32) if found else np.zeros(0, dtype=np.float32)


def _batch(fixed: Images, moving: Images, steps: int) -> Numbers:
    n, side = len(fixed), fixed.shape[1]
    across = down = _Place(np.ones(n, dtype=np.float32), np.zeros(n, dtype=np.float32))
    least = np.full(n, _UNKNOWN, dtype=np.float32)
    for step in range(steps + 1):
        columns, columns_seen = _sampling(across, side)
        rows, rows_seen = _sampling(down, side)
        laid = (rows @ moving @ columns.transpose(0, 2, 1)).astype(np.float32, copy=False)
        seen: Images = (rows_seen[:, :, None] & columns_seen[:, None, :]).astype(np.float32)
        one, other = _centred(fixed, seen), _centred(laid, seen)
        apart = np.where(seen.mean(axis=(1, 2)) >= _LEAST_OVERLAP, 1 - _correlation(one, other), _UNKNOWN)
        least = np.minimum(least, apart.astype(np.float32))
        if step < steps:
            scale_x, shift_x, scale_y, shift_y = _step(one, other, laid, seen)
            across, down = across.moved(scale_x, shift_x, side), down.moved(scale_y, shift_y, side)
    return least


def _sampling(place: _Place, side: int) -> tuple[Images, NDArray[np.bool_]]:
    """Return the matrix that reads a line of pixels at a place by linear interpolation, and which of them lie inside."""
    position = place.scale[:, None] * _centred_positions(side) + place.shift[:, None] + (side - 1) / 2
    inside = (position >= 0) & (position <= side - 1)
    apart = np.abs(np.clip(position, 0, side - 1)[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(0, 1 - apart), inside


def _centred_positions(side: int) -> Numbers:
    return np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)


def _centred(images: Images, seen: Images) -> Images:
    mean = (images * seen).sum(axis=(1, 2)) / np.maximum(seen.sum(axis=(1, 2)), 1)
    centred: Images = (images - mean[:, None, None]) * seen
    return centred


def _correlation(one: Images, other: Images) -> Numbers:
    energy = (one * one).sum(axis=(1, 2)) * (other * other).sum(axis=(1, 2))
    correlation: Numbers = (one * other).sum(axis=(1, 2)) / np.sqrt(np.maximum(energy, 1e-6))
    return correlation


def _step(one: Images, other: Images, laid: Images, seen: Images) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Return scale and shift across, scale and shift down, by which the second image fits the first better."""
    n, side = len(one), one.shape[1]
    slope_y, slope_x = np.gradient(laid, axis=(1, 2))
    slope_x, slope_y, position = slope_x * seen, slope_y * seen, _centred_positions(side)
    parts = (other, seen, slope_x, slope_y, slope_x * position[None, None, :], slope_y * position[None, :, None])
    basis = np.stack(parts, axis=1).reshape(n, len(parts), -1)
    normal = (basis @ basis.transpose(0, 2, 1)).astype(np.float64)
    damping = 1e-4 * np.trace(normal, axis1=1, axis2=2) / len(parts)
    normal += np.diag([0.0, 0.0, 1.0, 1.0, 1.0, 1.0]) * damping[:, None, None] + 1e-3 * np.eye(len(parts))
    solved = np.linalg.solve(normal, basis @ one.reshape(n, -1, 1))[:, :, 0]
    moved = (solved[:, 2:] / np.maximum(solved[:, :1], _LEAST_GAIN)).astype(np.float32)
    shift = np.clip(moved[:, :2], -side * _STEP_SHIFT, side * _STEP_SHIFT)
    scale = np.clip(moved[:, 2:], -_STEP_SCALE, _STEP_SCALE)
    return scale[:, 0], shift[:, 0], scale[:, 1], shift[:, 1]
