"""Intervals of any figure by the bootstrap: rows, or groups of rows, are drawn again with replacement."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from transfer.errors import UserError
from transfer.metrics.counted import Figure, Floats, in_parts
from transfer.records import Interval

_MOST_LEFT_OUT = 100  # parts that rows are left out in


@dataclass(frozen=True)
class Resamples:
    """How often each row counts.

    Args:
        drawn: whole numbers (N, B), a column a resample.
        left_out: 0 or 1, (N, K), a column a part of the rows that is left out; the parts are disjoint.
    """

    drawn: NDArray[np.generic]
    left_out: NDArray[np.generic]


def resamples(n_rows: int, n_draws: int, seed: int, groups: NDArray[np.int64] | None = None) -> Resamples:
    """Draw rows again, as many as there are; where rows have groups, whole groups.

    Args:
        n_rows: at least 1.
        n_draws: resamples, at least 1.
        seed: of the draws.
        groups: int64 (N,), whose rows depend on one another and are drawn together; every row by itself when None.

    Raises:
        UserError: there is one row, or one group, alone, which tells nothing of how others would vary.

    Source: Efron 1979, Bootstrap Methods: Another Look at the Jackknife, Annals of Statistics 7(1); groups, Davison and
    Hinkley 1997, Bootstrap Methods and their Application, section 3.8.
    """
    place = np.arange(n_rows) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    n_groups = int(place.max()) + 1 if n_rows else 0
    if n_groups < 2:
        raise UserError(f"{n_rows} test images in {n_groups} groups have no interval; at least 2 groups are needed.")
    draw = np.random.default_rng(seed)
    drawn = np.empty((n_rows, n_draws), dtype=np.uint16)  # a fourth of the memory: no row counts that often
    for column in range(n_draws):
        drawn[:, column] = np.bincount(draw.integers(n_groups, size=n_groups), minlength=n_groups)[place]
    n_parts = min(n_groups, _MOST_LEFT_OUT)
    part = draw.permutation(n_groups) % n_parts
    return Resamples(drawn, (part[place][:, None] != np.arange(n_parts)).astype(np.uint16))


def bootstrapped(figure: Figure, rows: Resamples, confidence: float) -> list[Interval | None]:
    """Return a figure of all rows with its interval; one for every class where the figure has that many.

    Args:
        figure: of counts.
        rows: what to draw.
        confidence: of the intervals, in (0, 1).

    Returns:
        One interval, or C; None in place of one where no resample differs from another, so that they tell nothing.
    """
    return intervals_of(drawn_values(figure, rows), confidence)


def drawn_values(figure: Figure, rows: Resamples) -> tuple[Floats, Floats, Floats]:
    """Return a figure of all rows (C, 1), of resamples (C, B), and with parts left out (C, K); C is 1 of one figure."""
    parts = (np.ones((len(rows.drawn), 1)), rows.drawn, rows.left_out)
    values, drawn, left_out = (np.atleast_2d(in_parts(figure, counts)) for counts in parts)
    return values, drawn, left_out


def intervals_of(values: tuple[Floats, Floats, Floats], confidence: float) -> list[Interval | None]:
    """Return what `bootstrapped` does, of values that `drawn_values` returned."""
    each = zip(*values, strict=True)
    return [bca_interval(float(of_all[0]), drawn, left_out, confidence) for of_all, drawn, left_out in each]


def bca_interval(value: float, drawn: Floats, left_out: Floats, confidence: float) -> Interval | None:
    """Return the bias-corrected and accelerated interval; None where all resamples have one value.

    Args:
        value: the figure of all rows.
        drawn: float64 (B,), of resamples; nan where it is not defined, which is passed over.
        left_out: float64 (K,), with each part left out; nan likewise.
        confidence: in (0, 1).

    Source: Efron 1987, Better Bootstrap Confidence Intervals, JASA 82(397), equations 2.3 and 6.6; DiCiccio and Efron
    1996, Bootstrap Confidence Intervals, Statistical Science 11(3), equations 2.3 and 2.8. Resamples as high as the
    figure itself count half, as for a discrete figure they must.
    """
    found, kept = drawn[~np.isnan(drawn)], left_out[~np.isnan(left_out)]
    if len(found) < 2 or float(np.ptp(found)) <= 1e-12 * max(1.0, abs(value)):
        return None
    normal = NormalDist()
    below = (np.sum(found < value) + 0.5 * np.sum(found == value)) / len(found)
    bias = normal.inv_cdf(float(np.clip(below, 0.5 / len(found), 1 - 0.5 / len(found))))
    apart = kept.mean() - kept
    scale = float(np.square(apart).sum()) ** 1.5
    bend = float((apart**3).sum()) / (6 * scale) if scale > 0 else 0.0
    ends = (bias + normal.inv_cdf(tail) for tail in ((1 - confidence) / 2, (1 + confidence) / 2))
    levels = [normal.cdf(bias + end / (1 - bend * end)) for end in ends]
    low, high = np.quantile(found, levels)
    return Interval(value, min(float(low), value), max(float(high), value))
