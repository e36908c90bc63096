"""Measure what each transferability score costs, on one thread: seconds by rows, features and classes.

    python benchmarks/scores.py [--slow]

Features are random, in clusters, and clipped at 0 as after a ReLU; the cost depends on their shape, that of N-LEEP and
the linear probe on their values, too. Scores of the decomposition come after it. The lower of two runs; `--slow` adds
N-LEEP and the linear probe, each once. Prints the table of docs/selection.md.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from transfer.randomness import generator
from transfer.selection.decomposition import Decomposition
from transfer.selection.distances.mmd import mmd
from transfer.selection.distances.proxy_a_distance import proxy_a_distance
from transfer.selection.scores.etran import energy_parts
from transfer.selection.scores.gbc import gbc
from transfer.selection.scores.hscore import hscore, shrunk_hscore
from transfer.selection.scores.knn import knn_loo_accuracy
from transfer.selection.scores.leep import leep
from transfer.selection.scores.logme import logme
from transfer.selection.scores.nce import nce
from transfer.selection.scores.ncti import collapse_parts
from transfer.selection.scores.nleep import nleep
from transfer.selection.scores.parc import parc
from transfer.selection.scores.probe import linear_probe
from transfer.selection.scores.ridge import ridge_loo_accuracy
from transfer.selection.scores.sfda import sfda
from transfer.selection.scores.transrate import transrate

SHAPES = ((500, 2048, 10), (5000, 512, 100), (5000, 2048, 10))
N_SOURCE_CLASSES = 1000


def _features(n_rows: int, width: int, n_classes: int) -> tuple[Tensor, Tensor]:
    draw = generator(0, "scores")
    labels = torch.randperm(n_rows, generator=draw) % n_classes
    centres = torch.randn(n_classes, width, generator=draw)
    fading = torch.randn(width, width, generator=draw) * (-torch.arange(width) / 100).exp()[:, None]
    rows = torch.randn(n_rows, width, generator=draw) + 0.8 * centres[labels]
    return (0.05 * rows @ fading).relu(), labels


def _scores(features: Tensor, labels: Tensor, *, slow: bool) -> dict[str, Callable[[], object]]:
    kept = Decomposition.of(features, labels)
    source = torch.randn(len(labels), N_SOURCE_CLASSES, generator=generator(1, "scores")).softmax(1)
    half = len(labels) // 2
    if slow:
        return {"N-LEEP": lambda: nleep(kept, 0), "linear probe": lambda: linear_probe(features, labels, 0)}
    return {
        "decomposition": lambda: Decomposition.of(features, labels),
        "LogME": lambda: logme(kept),
        "H-score": lambda: hscore(kept),
        "shrunk H-score": lambda: shrunk_hscore(kept),
        "ridge leave-one-out": lambda: ridge_loo_accuracy(kept),
        "SFDA": lambda: sfda(kept),
        "TransRate": lambda: transrate(kept),
        "GBC": lambda: gbc(kept),
        "PARC": lambda: parc(kept),
        "NCTI": lambda: collapse_parts(kept),
        "ETran": lambda: energy_parts(kept),
        "k-NN leave-one-out": lambda: knn_loo_accuracy(features, labels, 5),
        "LEEP": lambda: leep(source, labels),
        "NCE": lambda: nce(source, labels),
        "proxy A-distance": lambda: proxy_a_distance(features[:half], features[half:]),
        "MMD": lambda: mmd(features[:half], features[half:], 0),
    }


def _seconds(compute: Callable[[], object]) -> float:
    began = time.perf_counter()
    compute()
    return time.perf_counter() - began


def main() -> None:
    """Print a row a score and a column a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", action="store_true")
    slow = parser.parse_args().slow
    torch.set_num_threads(1)
    columns: dict[str, list[str]] = {}
    for shape in SHAPES:
        for name, compute in _scores(*_features(*shape), slow=slow).items():
            seconds = min(_seconds(compute) for _ in range(1 if slow else 2))
            columns.setdefault(name, []).append(f"{seconds:.2f}")
    print("| score | " + " | ".join(f"{n} x {d}, {c} classes" for n, d, c in SHAPES) + " |")
    print("|---|" + "---|" * len(SHAPES))
    for name, cells in columns.items():
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
