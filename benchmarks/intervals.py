"""Measure how often intervals of test figures hold the truth, and sets of classes the right class.

    python -m benchmarks.intervals --worlds 1000

A world is a way to draw rows, probabilities and right answers, in which a figure of endlessly many rows is known (from
a million of them). From it data sets are drawn, again and again; an interval of 95 % should hold the world's figure for
95 % of them. Writes the tables of docs/evaluation.md.
"""

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.kept import put_table
from transfer.evaluation.comparison import Groups, accuracy_interval, balanced_accuracy
from transfer.evaluation.figures import figures
from transfer.metrics import conformal
from transfer.metrics.bootstrap import Resamples, resamples
from transfer.records import Interval

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "evaluation.md"
_N_TRUTH, _CONFIDENCE, _N_DRAWS = 1_000_000, 0.95, 1000

Rows = tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class World:
    """How rows come about.

    Args:
        name: in the table.
        n_rows: of a data set.
        n_classes: of the rows.
        signal: how far the right class stands out, in standard deviations of the scores.
        sharpness: the model's inverse temperature relative to the right one: above 1 it is too sure.
        group_size: rows that share most of what makes them hard; 1: each by itself.
        per_class: rows of each class of a data set, which sum to n_rows; drawn, each class as likely, when empty.
    """

    name: str
    n_rows: int
    n_classes: int
    signal: float
    sharpness: float
    group_size: int = 1
    per_class: tuple[int, ...] = ()


WORLDS = (
    World("10 classes, 500 images, too sure", 500, 10, 2.5, 1.8),
    World("10 classes, 2,000 images, too sure", 2000, 10, 2.5, 1.8),
    World("10 classes, 500 images, calibrated", 500, 10, 2.5, 1.0),
    World("3 classes, 150 images, too sure", 150, 3, 2.0, 2.0),
    World("2 classes, 300 images, few mistakes", 300, 2, 3.0, 1.5),
    World("10 classes, 1,000 images in groups of 5", 1000, 10, 2.5, 1.8, 5),
    World("3 classes of 200, 2 and 2 images, too sure", 204, 3, 2.3, 2.0, per_class=(200, 2, 2)),
)


def drawn(world: World, n_rows: int, draw: np.random.Generator) -> Rows:
    """Return labels, and the probabilities that the model gives them."""
    n_groups = -(-n_rows // world.group_size)
    if world.per_class:
        labels = np.repeat(np.arange(world.n_classes), world.per_class)
        labels = np.tile(labels, -(-n_rows // len(labels)))[:n_rows]
    else:
        labels = np.repeat(draw.integers(world.n_classes, size=n_groups), world.group_size)[:n_rows]
    shared = np.repeat(draw.normal(size=(n_groups, world.n_classes)), world.group_size, axis=0)[:n_rows]
    own = draw.normal(size=(n_rows, world.n_classes))
    noise = own if world.group_size == 1 else 0.8**0.5 * shared + 0.2**0.5 * own
    scores = world.signal * (noise + world.signal * np.eye(world.n_classes)[labels])  # log likelihoods of the classes
    powers = np.exp(world.sharpness * (scores - scores.max(axis=1, keepdims=True)))
    return labels.astype(np.int64), powers / powers.sum(axis=1, keepdims=True)


def measured(rows: Rows, sample: Resamples, groups: Groups | None = None) -> dict[str, Interval]:
    """Return every figure of some rows with its interval."""
    actual, probabilities = rows
    predicted, found = (
        probabilities.argmax(axis=1),
        figures(actual, probabilities, _CONFIDENCE, sample, 0, grouped=groups is not None),
    )
    return {
        "accuracy": accuracy_interval(actual, predicted, _CONFIDENCE, groups),
        "balanced accuracy": balanced_accuracy(actual, predicted, _CONFIDENCE, sample),
        "macro F1": found.macro_f1,
        "AUROC": found.auroc,
        "NLL": found.nll,
        "Brier": found.brier,
        "ECE": found.ece,
        "AURC": found.aurc,
    }


def truth(world: World, seed: int) -> dict[str, float]:
    """Return every figure of endlessly many rows, as a million of them give it."""
    rows = drawn(world, _N_TRUTH, np.random.default_rng(seed))
    once = Resamples(np.ones((_N_TRUTH, 1)), np.ones((_N_TRUTH, 1)))
    return {name: interval.value for name, interval in measured(rows, once).items()}


def coverage(world: World, n_worlds: int, seed: int) -> dict[str, float]:
    """Return how often the interval of each figure holds the truth."""
    wanted, draw = truth(world, seed), np.random.default_rng(seed + 1)
    held = dict.fromkeys(wanted, 0)
    for place in range(n_worlds):
        rows = drawn(world, world.n_rows, draw)
        places = np.arange(world.n_rows) // world.group_size
        sample = resamples(world.n_rows, _N_DRAWS, place, places)
        groups = Groups(places, sample) if world.group_size > 1 else None
        for name, interval in measured(rows, sample, groups).items():
            held[name] += interval.low <= wanted[name] <= interval.high
    return {name: number / n_worlds for name, number in held.items()}


def conformal_coverage(n_known: int, n_worlds: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Return of each method the share of sets that hold the right class, their mean size, the share's spread."""
    world, draw, n_new = WORLDS[0], np.random.default_rng(seed), 500
    found: dict[str, tuple[float, float, float]] = {}
    for method in conformal.METHODS:
        held, sizes = [], []
        for place in range(n_worlds):
            labels, said = drawn(world, n_known + n_new, draw)
            _, of_new = conformal.sets(method, (labels[:n_known], said[:n_known]), said[n_known:], 0.1, place)
            held.append(float(of_new[np.arange(n_new), labels[n_known:]].mean()))
            sizes.append(float(of_new.sum(axis=1).mean()))
        found[method] = float(np.mean(held)), float(np.mean(sizes)), float(np.std(held))
    return found


def main() -> None:
    """Print the tables and put them into docs/evaluation.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1000, help="data sets of each row of the table")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    lines: list[str] = []
    for world in WORLDS:
        began = time.perf_counter()
        found = coverage(world, options.worlds, 0)
        if not lines:
            lines = [f"| data sets | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
        lines.append(f"| {world.name} | {' | '.join(f'{100 * share:.1f}' for share in found.values())} |")
        print(f"{lines[-1]}   {time.perf_counter() - began:.0f} s, {asdict(world)}", flush=True)
    lines += [
        "",
        "| calibration images | method | sets that hold the class, % | spread | mean size |",
        "|---" * 5 + "|",
    ]
    for n_known in (50, 200, 1000):
        for method, (held, size, spread) in conformal_coverage(n_known, options.worlds, 1).items():
            lines.append(f"| {n_known:,} | {method.upper()} | {100 * held:.1f} | {100 * spread:.1f} | {size:.2f} |")
    text = "\n".join(lines)
    print(text)
    if not options.no_write:
        put_table(DOCUMENT, "coverage", text)


if __name__ == "__main__":
    main()
