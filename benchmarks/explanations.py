r"""Plant what decides into images, train on them, and count how often the peak of a map lies in it.

    python -m benchmarks.explanations --data ../shared/datasets/hymenoptera --weights ../shared/weights \
        --kept build/planted

The class of an image is told by a patch at a random place and by nothing else. Beside it lies a decoy, a patch of noise
as large and as contrasted, which every class has: a map of edges finds either. How maps are made was chosen on cues
called stripes, and then measured on others, in other colours, at other places. What was measured is added to
docs/explanations.json, a run a line, and the table in docs/explanations.md is written anew; `--only NAME` measures some
networks again. Networks are trained by `benchmarks.planted_networks`, if they are not kept.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from benchmarks.kept import put_table, read_runs, write_runs
from benchmarks.planted_cues import N_CUES, edges_of, hits, patches_at_peaks
from benchmarks.planted_networks import Network, add_options, chosen, trained
from transfer.backbones.backbone import Classifier
from transfer.data.batches import normalise
from transfer.explanation.maps import GRAD_CAM, METHODS, Method, maps_of, method_named
from transfer.explanation.sanity import checked, similarity
from transfer.metrics.intervals import wilson_interval
from transfer.randomness import generator

RESULTS, DOCUMENT = Path("docs/explanations.json"), Path("docs/explanations.md")
N_SLOW = 40  # images for methods that run the network many times for each
N_CHECKED, N_NETWORKS = 12, 4
EDGES = "edges"


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    options = parser.parse_args()
    for network in chosen(options.only):
        known = (network.name, options.cues, options.seed, METHODS[0]) in _by_key(read_runs(RESULTS))
        if options.only or not known:
            runs = list(measured(network, options))
            print(*runs, sep="\n", flush=True)
            write_runs(RESULTS, (_by_key(read_runs(RESULTS)) | _by_key(runs)).values())
    put_table(DOCUMENT, "planted cues", table(read_runs(RESULTS)))


def _by_key(runs: list[dict[str, Any]]) -> dict[tuple[str, str, int, str], dict[str, Any]]:
    return {(run["network"], run["cues"], run["seed"], run["method"]): run for run in runs}


def measured(network: Network, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Train a network on planted cues and yield what each method finds."""
    found = trained(network, options)
    classifier, actual, cues = found.classifier, found.labels, found.cues
    images = normalise(found.images, classifier.backbone.preprocess)
    right = _logits(classifier, images).argmax(1) == actual
    accuracy = float(right.double().mean())
    right &= actual < N_CUES
    images, actual, cues = images[right], actual[right], cues[right]
    about = {
        "network": network.name,
        "background": network.background,
        "cues": options.cues,
        "seed": options.seed,
        "learned": round(found.accuracy, 4),
        "accuracy": round(accuracy, 4),
        "n": len(images),
    }
    for name in options.methods:
        method = method_named(name, classifier, images)
        if method is not None:
            n = len(images) if name == GRAD_CAM else N_SLOW
            yield about | {"n": n} | explained(classifier, method, images[:n], actual[:n], cues[:n])
    edges = edges_of(images)
    yield about | {"method": EDGES, "hits": int(hits(edges, cues).sum()), "similarity": similarity(edges, edges)[0]}


def _logits(classifier: Classifier, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([classifier(part) for part in images.split(16)])


def explained(classifier: Classifier, method: Method, images: Tensor, labels: Tensor, cues: Tensor) -> dict[str, Any]:
    """Return how often a method finds the cue, by the model and by a random one, and what its check comes to."""
    began = time.perf_counter()
    maps = maps_of(classifier, method, images, labels)
    seconds = (time.perf_counter() - began) / len(images)
    some, of_some, of_random = images[:N_CHECKED], labels[:N_CHECKED], list[Tensor]()

    def explain(one: Classifier) -> Tensor:
        of_random.append(maps_of(one, method, some, of_some))
        return of_random[-1]

    sanity = checked(classifier, explain, some, N_NETWORKS, generator(0, method.name))
    by_chance = torch.cat([hits(one, cues[:N_CHECKED]) for one in of_random[1:]]).double().mean()
    similar, found = sanity.similarity, hits(maps, cues)
    costs = [_cost(classifier, images, labels, where) for where in (cues, patches_at_peaks(maps))]
    return {
        "method": method.name,
        "layers": method.layers,
        "hits": int(found.sum()),
        "beside_and_worth_more": int((~found & (costs[1] > costs[0])).sum()),
        "random_hits": round(float(by_chance), 4),
        "similarity": None if similar is None else round(similar.value, 4),
        "low": None if similar is None else round(similar.low, 4),
        "high": None if similar is None else round(similar.high, 4),
        "passed": sanity.passed,
        "ms_an_image": round(1000 * seconds, 1),
    }


def _cost(classifier: Classifier, images: Tensor, labels: Tensor, where: Tensor) -> Tensor:
    """Return what the logits above their mean lose where places (N, S, S) get the mean colour."""
    of_class = [
        (logits - logits.mean(1, keepdim=True)).gather(1, labels[:, None])[:, 0]
        for logits in (_logits(classifier, images), _logits(classifier, images.masked_fill(where[:, None], 0.0)))
    ]
    return of_class[0] - of_class[1]


def table(runs: list[dict[str, Any]]) -> str:
    """Return the runs as a table, those of a network that was trained several times in a line."""
    lines = [
        "| network | cues, on | accuracy | method | peak in the cue | misses worth more | by chance | check | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for _, same in groupby(sorted(runs, key=lambda run: (*_of_line(run), run["seed"])), _of_line):
        lines.append(f"| {' | '.join(_cells(list(same)))} |")
    return "\n".join(lines)


def _of_line(run: dict[str, Any]) -> tuple[str, str, bool, str]:
    return run["network"], run["cues"], run["method"] == EDGES, run["method"]


def _cells(runs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return what the table says of a method on a network that was trained once or several times."""
    first, n_hits, n = runs[0], sum(run["hits"] for run in runs), sum(run["n"] for run in runs)
    share = wilson_interval(n_hits, n, 0.95)
    percent, interval = f"{100 * share.value:.0f} %", f"{100 * share.low:.0f} to {100 * share.high:.0f}"
    of_each = ", ".join(f"{100 * run['hits'] / run['n']:.0f}" for run in runs)
    each = f"; {of_each}" if len(runs) > 1 else ""
    found, shown = f"{n_hits} of {n}, {percent} ({interval}{each})", f"{first['cues']}, {first['background']}"
    if first["method"] == EDGES:  # the same by any weights
        return first["network"], shown, "", EDGES, found, "", percent, "1.00, fails", ""
    checks = (
        f"{run['similarity']:.2f} ({run['low']:.2f} to {run['high']:.2f}), {'passes' if run['passed'] else 'fails'}"
        for run in runs
    )
    beside = [run["beside_and_worth_more"] for run in runs]
    return (
        first["network"],
        shown,
        ", ".join(f"{run['accuracy']:.2f}" for run in runs),
        first["method"],
        found,
        "" if None in beside else f"{sum(beside)} of {n - n_hits}",
        f"{100 * fmean(run['random_hits'] for run in runs):.0f} %",
        "; ".join(checks),
        f"{fmean(run['ms_an_image'] for run in runs):.0f}",
    )


if __name__ == "__main__":
    main()
