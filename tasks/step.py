"""`step`: a Prefect task inside a flow run, a plain function call outside one.

A bare task call would start a temporary Prefect server (7-17 s); a stage that DVC runs without a server must not.
"""

import functools
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from tasks.progress import stoppable

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")
Shared = TypeVar("Shared")

SECONDS: dict[str, float] = {}  # wall seconds of every step this process ran, by name
_ADDING = threading.Lock()


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


def each(work: Callable[[Item, Shared], R], items: Sequence[Item], shared: Shared, at_once: int) -> list[R]:
    """Run a step for every item: as mapped task runs when a flow run is active, else in threads of this process.

    Args:
        work: a step of two arguments.
        items: the first argument, one a run.
        shared: the second one, the same for all of them.
        at_once: how many of them may run at the same time, at least 1.

    Returns:
        What the runs returned, in the order of the items.
    """
    if FlowRunContext.get() is not None:
        return _mapped(cast(Step[[Item, Shared], R], work), items, shared, at_once)
    if at_once == 1:
        return [work(item, shared) for item in items]
    with stoppable() as stop, ThreadPoolExecutor(at_once) as threads:
        try:
            return list(threads.map(lambda item: work(item, shared), items))
        except BaseException:
            stop()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _mapped(work: Step[[Item, Shared], R], items: Sequence[Item], shared: Shared, at_once: int) -> list[R]:
    from prefect import unmapped
    from prefect.task_runners import ThreadPoolTaskRunner
    from prefect.utilities.annotations import quote

    first, second = list(inspect.signature(work.fn).parameters)
    # Quoted: Prefect would look for futures in every record of what is shared.
    arguments = {first: list(items), second: unmapped(quote(shared))}
    runner: ThreadPoolTaskRunner[R] = ThreadPoolTaskRunner(max_workers=at_once)
    with stoppable() as stop, runner as threads:
        try:
            return [cast(R, future.result()) for future in threads.map(work, arguments)]
        except BaseException:
            stop()
            raise


def _timed(function: Callable[P, R]) -> Callable[P, R]:
    """Add up the seconds inside the function, without those of its task run."""

    @functools.wraps(function)
    def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            with _ADDING:
                SECONDS[function.__name__] = SECONDS.get(function.__name__, 0.0) + time.perf_counter() - started

    return timed
