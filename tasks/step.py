"""`step`: a Prefect task inside a flow run, a plain function call outside one.

A bare task call would start a temporary Prefect server (7-17 s); a stage that DVC runs without a server must not.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

P = ParamSpec("P")
R = TypeVar("R")

SECONDS: dict[str, float] = {}  # wall seconds of every step this process ran, by name


class Step(Task[P, R]):
    """A task that calls its function directly when no flow run is active.

    Inheritance is Prefect's own seam here: a flow recognises tasks by their class.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the step as a task run when a flow run is active, else as a plain call."""
        if FlowRunContext.get() is None:
            return self.fn(*args, **kwargs)
        return super().__call__(*args, **kwargs)


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function a step; DVC decides what is stale, so Prefect caches and stores no result."""
    made = Step(_timed(function), name=function.__name__, cache_policy=NO_CACHE, persist_result=False)
    return cast(Callable[P, R], made)


def _timed(function: Callable[P, R]) -> Callable[P, R]:
    """Add up the seconds inside the function, without those of its task run."""

    @functools.wraps(function)
    def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            SECONDS[function.__name__] = SECONDS.get(function.__name__, 0.0) + time.perf_counter() - started

    return timed
