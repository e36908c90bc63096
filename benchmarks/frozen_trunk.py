"""Measure how fast files become features, against a plain PyTorch loop over the same files.

    python benchmarks/frozen_trunk.py --data FOLDER --weights mobilenet_v2=FILE --architectures mobilenet_v2 resnet18

The plain side: torchvision's ImageFolder in a DataLoader without workers (Pillow, Resize, CenterCrop, ToTensor,
Normalize), the network in evaluation mode without gradients, batches of 32. Our side: `tasks.features.features_of` as
stages run it, with empty caches of pixels and features and a remembered executor, so that decoding, export, computing
and storing all count. What choosing costs the first time is a column of its own, and so is the export within our time.

Each side has a process of its own, because what malloc keeps cannot be given up again, and they take turns. Prints a
table: images a second as medians; the ratio of each pair as median, least and largest, in seconds that passed and in
seconds of work, which other processes on the machine disturb less; and how far our features are from those of plain
PyTorch on the same pixels.
"""

import argparse
import contextlib
import hashlib
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor
from torchvision import transforms
from torchvision.datasets import ImageFolder

from adapters.executor_choices import remember
from adapters.machine import machine_facts
from adapters.processes import keep_freed_memory
from adapters.row_cache import FOLDER
from tasks.examples import prepared
from tasks.features import executor_facts, features_of
from transfer.backbones.backbone import Backbone
from transfer.backbones.build import build_backbone
from transfer.backbones.executors import BATCH_SIZE, FromPixels, prepare, run_rows
from transfer.backbones.reference import BackboneReference
from transfer.backbones.trial import Choice, choose, relative_error
from transfer.records import Row

PLAIN_BATCH_SIZE, N_COMPARED = 32, 64
HEAD = (
    "| architecture | weights | plain, images/s | ours, images/s | ratio (least to largest) | in processor seconds "
    "| executor | choosing, s | export, s | error |"
)


def main() -> None:
    """Measure every architecture and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders of images")
    parser.add_argument("--weights", nargs="*", default=[], metavar="ARCHITECTURE=FILE", help="random where not given")
    parser.add_argument("--architectures", nargs="+", default=["mobilenet_v2", "resnet18"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    files = {name: Path(file).resolve() for name, _, file in (entry.partition("=") for entry in options.weights)}
    data = options.data.resolve()
    print(", ".join(f"{name} {value}" for name, value in machine_facts().items()))
    print(f"{HEAD}\n|{'---|' * 10}", flush=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for arch in options.architectures:
            print(line(arch, files.get(arch), data, options.repeats), flush=True)


def line(arch: str, weights: Path | None, data: Path, repeats: int) -> str:
    """Measure one architecture, the sides in turn, and return its line of the table."""
    start = multiprocessing.get_context("spawn")
    sides = {}
    for serve in (serve_plain, serve_ours):
        sides[serve], theirs = start.Pipe()
        start.Process(target=serve, args=(theirs, arch, weights, data), daemon=True).start()
    plain, ours = sides.values()
    n_images, choice, choosing_s, error = ours.recv()
    plain.recv()
    plain_s: list[tuple[float, float]] = []
    ours_s: list[tuple[float, float]] = []
    for _ in range(repeats):
        for side, seconds in ((plain, plain_s), (ours, ours_s)):
            side.send(True)
            seconds.append(side.recv())
    for side in sides.values():
        side.send(False)
    wall, busy = ([one[kind] / other[kind] for one, other in zip(plain_s, ours_s, strict=True)] for kind in (0, 1))
    cells = [arch, "random" if weights is None else "real"]
    cells += [f"{n_images / statistics.median(one for one, _ in seconds):.1f}" for seconds in (plain_s, ours_s)]
    cells += [f"**{statistics.median(wall):.2f}** ({min(wall):.2f} to {max(wall):.2f})"]
    cells += [f"{statistics.median(busy):.2f} ({min(busy):.2f} to {max(busy):.2f})", choice.executor]
    cells += [f"{choosing_s:.1f}", f"{choice.measured[0].prepare_s:.2f}", f"{error:.0e}"]
    return f"| {' | '.join(cells)} |"


def serve_plain(asked: Connection, arch: str, weights: Path | None, data: Path) -> None:
    """Measure the plain side whenever asked to."""
    backbone = built(arch, weights)
    asked.send(None)
    while asked.recv():
        asked.send(timed(lambda: plain_features(backbone, data)))


def serve_ours(asked: Connection, arch: str, weights: Path | None, data: Path) -> None:
    """Choose an executor, then measure our side whenever asked to, in the state that a stage begins with."""
    keep_freed_memory()
    backbone, rows = built(arch, weights), listed(data)
    choice, choosing_s = chosen(backbone, data, rows)
    remember(Path.cwd(), executor_facts(backbone, len(rows)), choice)
    asked.send((len(rows), choice, choosing_s, error_of(backbone, choice, data, rows)))
    while asked.recv():
        shutil.rmtree(Path(".rootstock", FOLDER), ignore_errors=True)
        asked.send(timed(lambda: features_of(backbone, None, str(data), rows, arch)))


def built(arch: str, weights: Path | None) -> Backbone:
    """Return a backbone in evaluation mode."""
    state = None if weights is None else torch.load(weights, weights_only=True)
    return build_backbone(BackboneReference.parse(f"torchvision/{arch}"), state, seed=0).eval()


def listed(data: Path) -> list[Row]:
    """Return the images of class folders as rows, in the order of torchvision's ImageFolder."""
    return [
        Row(str(Path(path).relative_to(data)), label, "train", hashlib.sha256(Path(path).read_bytes()).hexdigest())
        for path, label in ImageFolder(str(data)).samples
    ]


def chosen(backbone: Backbone, data: Path, rows: list[Row]) -> tuple[Choice, float]:
    """Return the executor for these rows, and the seconds that choosing it took."""
    network = FromPixels(backbone.trunk, backbone.preprocess)
    sample = prepared(str(data), rows[:BATCH_SIZE], backbone.preprocess).inputs
    started = time.perf_counter()
    choice, _ = choose(network, sample, len(rows), time.perf_counter)
    return choice, time.perf_counter() - started


def timed(work: Callable[[], Tensor]) -> tuple[float, float]:
    """Return the seconds that passed and those that the processor worked for this process."""
    started, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - worked


def plain_features(backbone: Backbone, data: Path) -> Tensor:
    """Return features as one would compute them without this project."""
    preprocess = backbone.preprocess
    steps = [
        transforms.Resize(preprocess.resize_px, transforms.InterpolationMode(preprocess.interpolation)),
        transforms.CenterCrop(preprocess.crop_px),
        transforms.ToTensor(),
        transforms.Normalize(preprocess.mean, preprocess.std),
    ]
    loader = torch.utils.data.DataLoader(ImageFolder(str(data), transforms.Compose(steps)), PLAIN_BATCH_SIZE)
    with torch.no_grad():
        return torch.cat([backbone.trunk(images) for images, _ in loader])


def error_of(backbone: Backbone, choice: Choice, data: Path, rows: list[Row]) -> float:
    """Return the largest relative L2 distance of a row of features from plain PyTorch on the same pixels."""
    network = FromPixels(backbone.trunk, backbone.preprocess).eval()
    pixels: Tensor = prepared(str(data), rows[:: max(1, len(rows) // N_COMPARED)], backbone.preprocess).inputs
    run = prepare(choice.executor, network, pixels[:1])
    with torch.no_grad():
        return relative_error(torch.cat(list(run_rows(run, pixels))), torch.cat([network(p) for p in pixels.split(32)]))


if __name__ == "__main__":
    main()
