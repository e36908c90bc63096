"""How far the distribution of a column has moved since an earlier version of the data, with an interval.

Of the earlier version counts are kept, and no image: so numbers are put into bins that were chosen then. Two versions
whose images are both at hand are compared by `transfer.data.shift`, without bins.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

N_BINS = 10
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
_FEWEST = 5.0  # images that a category is expected to have in the smaller version; rarer ones are counted together
_PRIOR = 0.5  # images a bin by which both versions are drawn to what they have in common: an empty bin is no infinity
_MANY = 1e4  # chi-square values beyond which a noncentral one is as good as normal in its root


@dataclass(frozen=True, slots=True)
class Profile:
    """What is kept of a column of one version.

    Args:
        edges: of the bins of a column of numbers, ascending: values up to the first one, up to the second one, ...,
            beyond the last one; None for a column of names.
        counts: images in each bin, or name -> images.
        quantiles: smallest value, 5 %, median, 95 %, largest value; () for names.
    """

    edges: tuple[float, ...] | None
    counts: tuple[int, ...] | Mapping[str, int]
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a column has moved.

    Args:
        index: population stability index, 0 or more; 0 where nothing moved.
        low: lower bound of it, at the confidence asked for.
        high: upper bound.
        most: the bin or name whose share changed most, in words.
        before: its share then, in [0, 1].
        now: its share now.
    """

    index: float
    low: float
    high: float
    most: str
    before: float
    now: float


def profile_of_numbers(values: Sequence[float] | Array) -> Profile:
    """Count the values in ten bins of about equal shares; a value that has a tenth for itself gets its own bin.

    Args:
        values: float (N,), without nan, N at least 1.
    """
    found = np.sort(np.asarray(values, dtype=np.float64))
    cuts = np.quantile(found, np.arange(1, N_BINS) / N_BINS, method="inverted_cdf")
    own, times = np.unique(found, return_counts=True)
    often = own[times * N_BINS >= len(found)]
    edges = np.unique(np.concatenate([cuts, often, np.nextafter(often, -np.inf)]))
    quantiles = np.quantile(found, _QUANTILES, method="inverted_cdf")
    return Profile(tuple(edges.tolist()), _binned(found, edges), tuple(quantiles.tolist()))


def profile_of_names(values: Sequence[str]) -> Profile:
    """Count how often each name occurs."""
    return Profile(None, dict(sorted(Counter(values).items())))


def shift(before: Profile, values: Sequence[float] | Sequence[str] | Array, confidence: float) -> Shift:
    """Compare a column with what it was; both versions are taken as samples of what could have been collected.

    The index is I = sum (p - q) log(p / q) over the bins that are not empty in both. T = I / (1/n + 1/m) follows a
    chi-square distribution with bins - 1 degrees of freedom where nothing moved, and about a noncentral one of
    noncentrality I' / (1/n + 1/m) where the true index is I'; the interval holds every I' for which T is not unlikely.

    Args:
        before: of the earlier version.
        values: of today's, of the same kind, at least 1, without missing ones.
        confidence: of the lower bound and of the upper bound, each, in [0.5, 1).

    Source: Yurdakul and Naranjo 2020, "Statistical properties of the population stability index", Journal of Risk Model
    Validation 14(4) (the distribution); Steiger 2004, Psychological Methods 9(2) (inverting the noncentral one).
    """
    names, then, now = _aligned(before, values)
    n_then, n_now = then.sum(), now.sum()
    common = (then + now) / (n_then + n_now) * _PRIOR * len(names)
    p, q = (then + common) / (then + common).sum(), (now + common) / (now + common).sum()
    index = float(((q - p) * np.log(q / p)).sum())
    per_index = float(1.0 / (1.0 / n_then + 1.0 / n_now))
    low, high = _noncentrality(index * per_index, len(names) - 1, confidence)
    change = now / n_now - then / n_then
    most = int(np.argmax(np.abs(change)))
    return Shift(
        index,
        low / per_index,
        high / per_index,
        names[most],
        float(then[most] / n_then),
        float(now[most] / n_now),
    )


def _noncentrality(statistic: float, freedom: int, confidence: float) -> tuple[float, float]:
    """Return the bounds of the noncentrality of a chi-square that came out as `statistic`."""
    from scipy.optimize import brentq
    from scipy.stats import chi2, ncx2, norm

    if freedom < 1:
        return 0.0, 0.0
    if statistic > _MANY:
        z = float(norm.ppf(confidence))
        return max(0.0, (statistic**0.5 - z) ** 2 - freedom), (statistic**0.5 + z) ** 2
    far = 4.0 * (statistic + freedom + 10.0) + 400.0  # beyond every bound up to a confidence of 1 - 1e-9

    def bound(share_above: float) -> float:
        if float(chi2.sf(statistic, freedom)) >= share_above:
            return 0.0
        return float(brentq(lambda lam: float(ncx2.sf(statistic, freedom, lam)) - share_above, 1e-12, far, xtol=1e-9))

    return bound(1.0 - confidence), bound(confidence)


def _aligned(before: Profile, values: Any) -> tuple[list[str], Array, Array]:
    """Return the bins or names that either version has images in, with the counts of both."""
    if before.edges is not None:
        edges = np.asarray(before.edges, dtype=np.float64)
        names, then = _intervals(before.edges), np.asarray([*before.counts], dtype=np.float64)
        now = np.asarray(_binned(np.asarray(values, dtype=np.float64), edges), dtype=np.float64)
        held = then + now > 0
        return [name for name, some in zip(names, held, strict=True) if some], then[held], now[held]
    today: Counter[str] = Counter(values)
    old: Counter[str] = Counter(dict(before.counts) if isinstance(before.counts, Mapping) else {})
    names = sorted({*old, *today})
    return _merged(names, *(np.asarray([one[name] for name in names], dtype=np.float64) for one in (old, today)))


def _merged(names: list[str], then: Array, now: Array) -> tuple[list[str], Array, Array]:
    """Count together the names that are too rare for their share of the smaller version to be told."""
    expected = (then + now) * min(then.sum(), now.sum()) / (then.sum() + now.sum())
    rare = expected < _FEWEST
    if rare.sum() < 2:
        return names, then, now
    kept = [name for name, few in zip(names, rare, strict=True) if not few]
    together = f"{int(rare.sum())} rare ones together"
    return (
        [*kept, together],
        np.append(then[~rare], then[rare].sum()),
        np.append(now[~rare], now[rare].sum()),
    )


def _binned(values: Array, edges: Array) -> tuple[int, ...]:
    places = np.searchsorted(edges, values, side="left")
    return tuple(np.bincount(places, minlength=len(edges) + 1).tolist())


def _intervals(edges: Sequence[float]) -> list[str]:
    """Name the bins: "up to 3", "3 to 7", "7" where a value has a bin of its own, "above 7"."""
    if not edges:
        return ["all"]
    names = [f"below {edges[1]:.6g}" if _alone(edges[:2]) else f"up to {edges[0]:.6g}"]
    for low, high in itertools.pairwise(edges):
        names.append(f"{high:.6g}" if _alone((low, high)) else f"{low:.6g} to {high:.6g}")
    return [*names, f"above {edges[-1]:.6g}"]


def _alone(edges: Sequence[float]) -> bool:
    """Say whether between two edges there is room for the second one only."""
    return len(edges) == 2 and math.nextafter(edges[1], -math.inf) == edges[0]
