"""Slices of the test rows: on which of them the model does worse than on the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from transfer.evaluation.comparison import FEWEST
from transfer.metrics.intervals import wilson_interval
from transfer.metrics.multiplicity import bonferroni, holm
from transfer.records import Interval

Values = Sequence[float | str | None]
Members = NDArray[np.bool_]

_FEW_VALUES = 5  # of a number: each is a slice of its own
_N_PARTS = 3  # that other numbers are cut into
_MOST_NAMES = 50  # a column of more texts tells rows apart, not kinds of them


@dataclass(frozen=True, slots=True)
class Slice:
    """How a model does on some of the rows.

    Args:
        column: what the rows have in common, for example "brightness".
        part: which of its values, for example "0.12 to 0.31".
        n_rows: rows it holds.
        accuracy: with its Wilson interval; None of fewer than `FEWEST` rows, of which nothing is claimed.
        p_adjusted: Fisher's exact test against all other rows, two-sided, adjusted for the number of slices; None
            where nothing is claimed, or there are no other rows.
        worse: whether the model is surely worse on these rows than on the others.
    """

    column: str
    part: str
    n_rows: int
    accuracy: Interval | None
    p_adjusted: float | None
    worse: bool


def cut(values: Values) -> dict[str, Members]:
    """Return the parts that rows fall into by their value: each bool (N,), disjoint; rows without a value are in none.

    Texts, and numbers of few different values, are parts by themselves; other numbers are cut into thirds. One part
    alone, or too many of them, tell nothing: none are returned.

    Args:
        values: a number, a text or nothing a row; all of one kind.
    """
    known = [value for value in values if value is not None]
    kinds = set(known)
    if len(kinds) > _FEW_VALUES and not any(isinstance(value, str) for value in kinds):
        return _thirds(np.array([np.nan if value is None else float(value) for value in values]))
    if not 2 <= len(kinds) <= _MOST_NAMES:
        return {}
    ordered = sorted(kinds, key=lambda value: (isinstance(value, str), value))
    return {_name(value): np.array([one == value for one in values]) for value in ordered}


def sliced(right: Members, columns: Mapping[str, Mapping[str, Members]], confidence: float) -> tuple[Slice, ...]:
    """Return every slice, those of a column together.

    Args:
        right: whether each row was recognised, bool (N,).
        columns: column -> part -> the rows of it, bool (N,).
        confidence: of the intervals and of all claims together, in (0, 1).
    """
    places = [(column, part, members) for column, parts in columns.items() for part, members in parts.items()]
    tested = {place: _p_value(right, one[2]) for place, one in enumerate(places) if one[2].sum() >= FEWEST}
    told = {place: p for place, p in tested.items() if p is not None}
    adjusted = dict(zip(told, holm(list(told.values())), strict=True))
    found = []
    for place, (column, part, members) in enumerate(places):
        n_rows, n_right, p = int(members.sum()), int(right[members].sum()), adjusted.get(place)
        own = wilson_interval(n_right, n_rows, confidence) if n_rows >= FEWEST else None
        below = p is not None and n_right * (len(right) - n_rows) < (int(right.sum()) - n_right) * n_rows
        found.append(Slice(column, part, n_rows, own, p, below and p is not None and p < 1 - confidence))
    return tuple(found)


def worst(slices: Sequence[Slice], confidence: float) -> tuple[Slice, Interval] | None:
    """Return the slice of the lowest accuracy, the larger one of two, and an interval that allows for the choice.

    The interval has the confidence that all slices together have theirs (Bonferroni): the lowest of many is low by
    chance too. None where no slice is large enough.

    Args:
        slices: what `sliced` returned.
        confidence: of the interval, in (0, 1).
    """
    able = [(one, one.accuracy) for one in slices if one.accuracy is not None]
    if not able:
        return None
    lowest, accuracy = min(able, key=lambda pair: (pair[1].value, -pair[0].n_rows))
    n_right = round(accuracy.value * lowest.n_rows)
    return lowest, wilson_interval(n_right, lowest.n_rows, bonferroni(confidence, len(able)))


def _p_value(right: Members, members: Members) -> float | None:
    from scipy.stats import fisher_exact

    if members.all():
        return None
    table = [[int((own & side).sum()) for own in (right, ~right)] for side in (members, ~members)]
    return float(fisher_exact(table).pvalue)


def _thirds(numbers: NDArray[np.float64]) -> dict[str, Members]:
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, _N_PARTS + 1))).tolist()
    if len(edges) < 3:
        return {}
    digits = next((n for n in range(3, 17) if len({f"{edge:.{n}g}" for edge in edges}) == len(edges)), 17)
    parts: dict[str, Members] = {}
    for low, high in pairwise(edges):
        inside = (numbers > low) & (numbers <= high) if parts else (numbers >= low) & (numbers <= high)
        parts[f"{low:.{digits}g} to {high:.{digits}g}"] = inside
    return parts


def _name(value: float | str) -> str:
    return value if isinstance(value, str) else f"{float(value):.6g}"
