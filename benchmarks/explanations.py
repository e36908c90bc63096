r"""Plant what decides into images, train on them, and count how often the peak of a map lies in it.

    python -m benchmarks.explanations --data ../shared/datasets/hymenoptera --weights ../shared/weights

The class of an image is told by a patch at a random place and by nothing else. Beside it lies a decoy, a patch of noise
as large and as contrasted, which every class has: a map of edges finds either. How maps are made was chosen on cues
called stripes, and then measured on shapes: other patches, in colours, at other places. What was measured is added to
docs/explanations.json, a run a line, and the table in docs/explanations.md is written anew; `--only NAME` measures some
networks again.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.kept import put_table, read_runs, write_runs
from benchmarks.planted_cues import N_CLASSES, N_CUES, SHAPES, STRIPES, backgrounds, edges_of, hits, planted
from tasks.candidates import candidate
from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.depth_groups import depth_groups
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import Augmentation, normalise
from transfer.data.examples import Examples, Target
from transfer.explanation.maps import GRAD_CAM, METHODS, Method, maps_of, method_named
from transfer.explanation.sanity import checked, similarity
from transfer.finetuning.budget import Budget
from transfer.finetuning.loop import train
from transfer.finetuning.plan import scratch_plan
from transfer.finetuning.problem import Problem
from transfer.metrics.intervals import wilson_interval
from transfer.randomness import generator
from transfer.records import Preprocess

RESULTS, DOCUMENT = Path("docs/explanations.json"), Path("docs/explanations.md")
N_VAL, N_TEST = 80, 160
N_SLOW = 40  # images for methods that run the network many times for each
N_CHECKED, N_NETWORKS = 12, 4
_SMALL = Preprocess(resize_px=32, crop_px=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@dataclass(frozen=True)
class Network:
    """What is trained.

    Args:
        name: as the table calls it.
        build: returns it, given the folder of weights.
        learning_rate: of all its weights.
        epochs: passes over the images, at that rate.
        n_train: images it is trained on.
        background: of its images.
    """

    name: str
    build: Callable[[Path], Backbone]
    learning_rate: float
    epochs: int
    n_train: int = 600
    background: str = "photographs"


def _pretrained(reference: str) -> Callable[[Path], Backbone]:
    return lambda weights: candidate(BackboneReference.parse(reference.format(weights)), None)[0]


def _random(reference: str) -> Callable[[Path], Backbone]:
    return lambda _: build_backbone(BackboneReference.parse(reference).with_weights("none"), None, seed=0)


def _headless(name: str, network: nn.Module, head: str, width: int) -> Backbone:
    network.set_submodule(head, nn.Identity())
    return Backbone(name, network, width, depth_groups(network), _SMALL)


def _vision_transformer(_: Path) -> Backbone:
    from torchvision.models import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = VisionTransformer(32, 4, 4, 4, 96, 192, num_classes=2)
    return _headless("vision transformer of 4 layers", network, "heads", 96)


NETWORKS = (
    Network(
        "mobilenet_v2 at 160 px, ImageNet",
        _pretrained("torchvision/mobilenet_v2?crop_px=160@{}/mobilenet_v2_imagenet.pth"),
        0.001,
        4,
        320,
    ),
    Network(
        "squeezenet1_1 at 128 px, ImageNet",
        _pretrained("torchvision/squeezenet1_1?crop_px=128@{}/squeezenet1_1_imagenet.pth"),
        0.0003,
        5,
        400,
    ),
    Network("cifar_resnet20, CIFAR-10", _pretrained("rootstock/cifar_resnet20@{}/cifar10_resnet20.pth"), 0.001, 5),
    Network("strokes, shipped", _pretrained("rootstock/strokes"), 0.001, 5),
    Network("resnet18 of 64 px, from scratch", _random("torchvision/resnet18?crop_px=64"), 0.001, 10),
    Network("vision transformer of 4 layers, from scratch", _vision_transformer, 0.001, 8, 2400, "textures"),
)


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of photographs in class folders")
    parser.add_argument("--weights", type=Path, required=True, help="a folder of published weights")
    parser.add_argument("--only", nargs="*", help="parts of names of networks to measure again; all that are missing")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--cues", choices=(STRIPES, SHAPES), default=SHAPES)
    options = parser.parse_args()
    for network in NETWORKS:
        known = (network.name, options.cues, METHODS[0]) in _by_key(read_runs(RESULTS))
        if any(part in network.name for part in options.only) if options.only else not known:
            runs = list(measured(network, options))
            print(*runs, sep="\n", flush=True)
            write_runs(RESULTS, (_by_key(read_runs(RESULTS)) | _by_key(runs)).values())
    put_table(DOCUMENT, "planted cues", table(read_runs(RESULTS)))


def _by_key(runs: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(run["network"], run["cues"], run["method"]): run for run in runs}


def measured(network: Network, options: Any) -> Iterator[dict[str, Any]]:
    """Train a network on planted cues and yield what each method finds."""
    backbone, n_train = network.build(options.weights), network.n_train
    behind = backgrounds(network.background, options.data, backbone.preprocess, n_train + N_VAL + N_TEST)
    labels = torch.arange(len(behind)) % N_CLASSES
    pixels, cues = planted(behind, labels, options.cues, generator(0, f"places of {options.cues}"))
    train_set, val_set = (
        Examples(pixels[start:stop], labels[start:stop]) for start, stop in ((0, n_train), (n_train, n_train + N_VAL))
    )
    classifier = trained(backbone, train_set, val_set, network)
    tested = slice(n_train + N_VAL, None)
    images, actual, cues = normalise(pixels[tested], backbone.preprocess), labels[tested], cues[tested]
    with torch.no_grad():
        right = torch.cat([classifier(part) for part in images.split(16)]).argmax(1) == actual
    accuracy = float(right.double().mean())
    right &= actual < N_CUES
    images, actual, cues = images[right], actual[right], cues[right]
    where = {"background": network.background, "cues": options.cues}
    about = {"network": network.name, **where, "accuracy": round(accuracy, 4), "n": len(images)}
    for name in options.methods:
        method = method_named(name, classifier, images)
        if method is not None:
            n = len(images) if name == GRAD_CAM else N_SLOW
            yield about | {"n": n} | explained(classifier, method, images[:n], actual[:n], cues[:n])
    edges = edges_of(images)
    yield about | {"method": "edges", "hits": int(hits(edges, cues).sum()), "similarity": similarity(edges, edges)[0]}


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
    similar = sanity.similarity
    return {
        "method": method.name,
        "layer": method.grid and method.grid.layer,
        "hits": int(hits(maps, cues).sum()),
        "random_hits": round(float(by_chance), 4),
        "similarity": None if similar is None else round(similar.value, 4),
        "low": None if similar is None else round(similar.low, 4),
        "high": None if similar is None else round(similar.high, 4),
        "passed": sanity.passed,
        "ms_an_image": round(1000 * seconds, 1),
    }


def trained(backbone: Backbone, train_set: Examples, val_set: Examples, network: Network) -> Classifier:
    """Return a classifier of which every weight was trained."""
    classifier = Classifier(backbone, N_CLASSES)
    still = Augmentation(min_area=1.0)  # a crop would cut the cue off
    budget = Budget(network.epochs * network.n_train, network.epochs, 32, 0.05, 0.1, None, still)
    problem = Problem.of_images(classifier, Target(train_set, val_set, N_CLASSES), still)
    step = scratch_plan([group.name for group in backbone.depth_groups], network.learning_rate)
    for record in train(classifier, problem, step, budget, 0):
        print(record, flush=True)
    return classifier.eval()


def table(runs: list[dict[str, Any]]) -> str:
    """Return the runs as a table."""
    lines = [
        "| network | cues, on | accuracy | method | peak in the cue | random weights | check | passes | ms an image |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        share = wilson_interval(run["hits"], run["n"], 0.95)
        percent, interval = f"{100 * share.value:.0f} %", f"{100 * share.low:.0f} to {100 * share.high:.0f}"
        found, shown = f"{run['hits']} of {run['n']}, {percent} ({interval})", f"{run['cues']}, {run['background']}"
        if run["method"] == "edges":  # the same by any weights
            cells = (run["network"], shown, "", "edges", found, percent, "1.00", "no", "")
            lines.append(f"| {' | '.join(cells)} |")
            continue
        check = f"{run['similarity']:.2f} ({run['low']:.2f} to {run['high']:.2f})"
        cells = (
            run["network"],
            shown,
            f"{run['accuracy']:.3f}",
            run["method"],
            found,
            f"{100 * run['random_hits']:.0f} %",
            check,
            "yes" if run["passed"] else "no",
            f"{run['ms_an_image']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
