"""A clock that stands still while a model is measured."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from benchmarks.peers.curves import Point

Measure = Callable[[nn.Module], float]


class Clock:
    """Training seconds, and the accuracies noted in between.

    Args:
        measure: network -> accuracy on the test images, in [0, 1]; the network is left as it is.
    """

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._started = time.perf_counter()
        self._stood_s = 0.0
        self.points: list[Point] = []

    def seconds(self) -> float:
        """Return the seconds since the clock was made, without those it stood still."""
        return time.perf_counter() - self._started - self._stood_s

    def note(self, name: str, network: nn.Module) -> None:
        """Note what a network that exists now achieves; only this is outside the clock."""
        seconds = self.seconds()
        with self.stopped():
            self.points.append(Point(seconds, self._measure(network), name))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the clock stand still inside the block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._stood_s += time.perf_counter() - began
