"""Run one method once, in a process of its own, and write what came out: started by `python -m benchmarks.peers`."""

import argparse
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.peers.clock import Clock
from benchmarks.peers.curves import Run
from benchmarks.peers.images import SOURCES, lay_out, warm_up
from benchmarks.peers.methods import OURS, OURS_AGAIN, OURS_REMEMBERED
from benchmarks.peers.plain import (
    Task,
    fixed_extractor,
    full_finetuning,
    logistic_regression,
    tutorial_finetuning,
)


def main() -> None:
    """Run a method and write its runs as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--data-set", choices=SOURCES, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--limit-s", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    load, day, folder = os.getloadavg()[0], str(datetime.now(UTC).date()), Path("images").resolve()
    lay_out(options.data, SOURCES[options.data_set], options.seed, folder)
    warm_up()
    task = Task(folder, options.weights, options.seed, options.workers, options.limit_s)
    n_test = sum(1 for path in (folder / "test").rglob("*") if path.is_file())
    runs = [
        Run(name, options.data_set, options.seed, tuple(clock.points), n_test, load, day).to_plain()
        for name, clock in run(options.method, task).items()
    ]
    options.out.write_text(json.dumps(runs), encoding="utf-8")


def run(method: str, task: Task) -> dict[str, Clock]:
    """Return the clock of every run that a method makes, by the name it has in the tables."""
    if method == OURS:
        from benchmarks.peers.ours import cold_and_warm

        names = {"first": OURS, "again": OURS_AGAIN, "remembered": OURS_REMEMBERED}
        return {names[key]: clock for key, clock in cold_and_warm(task).items()}
    return {method: by_name()[method](task)}


def by_name() -> dict[str, Callable[[Task], Clock]]:
    """Return what runs each peer."""
    from benchmarks.peers import methods

    def fastai(task: Task) -> Clock:
        from benchmarks.peers.fast_ai import fine_tune

        return fine_tune(task)

    return {
        methods.FASTAI: fastai,
        methods.FIXED: fixed_extractor,
        methods.TUTORIAL: tutorial_finetuning,
        methods.FULL: full_finetuning,
        methods.LOGISTIC: logistic_regression,
    }


if __name__ == "__main__":
    main()
