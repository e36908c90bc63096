"""Curves of test accuracy over training seconds, and what is read off them."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Point:
    """A model that existed at a moment.

    Args:
        seconds: of loading and training until it existed.
        accuracy: of that model on the test images, in [0, 1]; measuring it took no part of the seconds.
        name: of the moment, as its method calls it.
    """

    seconds: float
    accuracy: float
    name: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a method.

    Args:
        method: its name in the tables.
        data_set: name of the images.
        seed: of everything random in it.
        points: in the order of time, at least one; the last is the model that the method ends with.
        n_test: test images behind each accuracy.
        load: other work on the machine: its load average when the run began.
        day: on which it was made, as in 2026-01-31.
    """

    method: str
    data_set: str
    seed: int
    points: tuple[Point, ...]
    n_test: int
    load: float
    day: str

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_plain` returned."""
        return cls(**{**plain, "points": tuple(Point(**point) for point in plain["points"])})


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, the least and the largest."""

    median: float
    least: float
    largest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Summarise at least one value; infinite ones count."""
        kept = sorted(values)
        return cls(statistics.median(kept), kept[0], kept[-1])


def best(run: Run) -> Point:
    """Return the first point with the highest accuracy of a run: what one would stop at who knew the test images."""
    return max(run.points, key=lambda point: (point.accuracy, -point.seconds))


def final(run: Run) -> Point:
    """Return the model that a run ends with."""
    return run.points[-1]


def seconds_to(run: Run, accuracy: float) -> float:
    """Return the seconds until a run first has a model of this accuracy; infinite where it never has."""
    return min((point.seconds for point in run.points if point.accuracy >= accuracy), default=math.inf)


def accuracy_at(run: Run, seconds: float) -> float:
    """Return the accuracy of the newest model a run has after so many seconds; not a number before it has one."""
    return next((point.accuracy for point in reversed(run.points) if point.seconds <= seconds), math.nan)


def times_sooner(ours: Run, peer: Run) -> float:
    """Return by how many times ours reaches the peer's best accuracy sooner; 0 where it never reaches it."""
    reached_s = seconds_to(ours, best(peer).accuracy)
    return best(peer).seconds / reached_s
