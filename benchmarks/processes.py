"""Measure fine-tuning by one and by two processes: the same updates on the same cores, in turn.

    python benchmarks/processes.py

One process uses all cores by its threads; of two, each has half of them and half of every batch. Each measurement is
made of processes of its own. Prints seconds an update, the ratio of each pair, and how far the losses are apart.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed
from torch.distributed import FileStore  # type: ignore[attr-defined]  # torch offers it without saying so

from adapters.machine import usable_cores
from adapters.processes import keep_freed_memory
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.engine import Engine
from transfer.finetuning.freezing import thaw
from transfer.finetuning.parallel import ALONE, Together
from transfer.finetuning.plan import scratch_plan
from transfer.finetuning.problem import Problem
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.updates import Learner
from transfer.randomness import generator

N_UPDATES, BATCH_SIZE = 6, 32


def main() -> None:
    """Run pairs of measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="mobilenet_v2")
    parser.add_argument("--side-px", type=int, default=224)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--one", nargs=3, metavar=("RANK", "SIZE", "STORE"), help="take part in one measurement")
    options = parser.parse_args()
    if options.one:
        rank, size, store = options.one
        print(json.dumps(measured(options.architecture, options.side_px, int(rank), int(size), store)))
        return
    ratios = []
    for _ in range(options.pairs):
        alone, together = (run(size, options.architecture, options.side_px) for size in (1, 2))
        ratios.append(alone["seconds"] / together["seconds"])
        print(f"1 process {alone['seconds']:.3f} s, 2 processes {together['seconds']:.3f} s an update, ", end="")
        print(f"losses {abs(alone['loss'] - together['loss']):.1e} apart", flush=True)
    print(f"1 / 2: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {statistics.median(ratios):.2f}")


def run(size: int, architecture: str, side_px: int) -> dict[str, float]:
    """Make one measurement with so many processes; return what process 0 found."""
    settings = {**os.environ, "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo")}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--architecture", architecture, "--side-px", str(side_px), "--one"]
        processes = [
            subprocess.Popen(
                [*command, str(rank), str(size), str(Path(folder, "store"))], stdout=subprocess.PIPE, env=settings
            )
            for rank in range(size)
        ]
        said = [process.communicate()[0] for process in processes]
    figures: dict[str, float] = json.loads(said[0])
    return figures


def measured(architecture: str, side_px: int, rank: int, size: int, store: str) -> dict[str, float]:
    """Return the seconds of an update of a whole network, and the loss of the last one, nats."""
    torch.set_num_threads(max(1, usable_cores() // size))
    keep_freed_memory()
    if size > 1:
        meeting = FileStore(store, size)
        distributed.init_process_group("gloo", store=meeting, rank=rank, world_size=size, timeout=timedelta(minutes=5))
    engine = Engine(ranks=Together(rank, size) if size > 1 else ALONE)
    backbone = build_backbone(BackboneReference.parse(f"torchvision/{architecture}@none"), None, seed=0)
    classifier = Classifier(backbone, 2)
    step = scratch_plan([group.name for group in backbone.depth_groups], 1e-4)
    thaw(classifier, step.rates)  # norms keep their statistics, as they do in fine-tuning
    shape = (BATCH_SIZE, side_px, side_px, 3)
    images = torch.randint(0, 255, shape, dtype=torch.uint8, generator=generator(0, "images"))
    rows = Examples(images.permute(0, 3, 1, 2), torch.arange(BATCH_SIZE) % 2)
    budget = Budget(10**6, 10**6, BATCH_SIZE, 0.05, 0.1, augmentation=Augmentation())
    problem = Problem.of_images(classifier, Target(rows, rows, 2), budget.augmentation, engine)
    learner, loss, began = Learner(classifier, problem, step, budget, 10**6), 0.0, 0.0
    for number in range(N_UPDATES + 1):
        if number == 1:  # the first one allocates
            engine.ranks.worst(0)
            began = time.perf_counter()
        loss = learner.gradient(torch.arange(BATCH_SIZE), replace(Snapshot(), batch=number), 0)
        learner.move(number, 1.0)
    engine.ranks.worst(0)
    return {"seconds": (time.perf_counter() - began) / N_UPDATES, "loss": loss}


if __name__ == "__main__":
    main()
