"""Measure updates on a GPU: images a second of ours beside timm's training step, on the same architecture, in turn.

    .venv-bench/bin/python -m benchmarks.gpu_step --architecture resnet50

Ours is a whole update as fine-tuning makes it: rows from memory on the processor, varied and normalised on the GPU,
clipped gradients, the moving average. timm's step (its `train.py` under `--amp --amp-dtype bfloat16 --channels-last`:
forward, loss, backward, clip, AdamW, exponential average) gets batches that already lie on the GPU, so what it needs
for loading is not counted. Both train every layer from random weights. Without a GPU it says so and ends.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.engine import Engine
from transfer.finetuning.freezing import thaw
from transfer.finetuning.plan import scratch_plan
from transfer.finetuning.problem import Problem
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.updates import Learner

SIDE_PX, N_CLASSES, N_UPDATES, N_WARM = 224, 10, 30, 10

Update = Callable[[int], None]


def main() -> None:
    """Run pairs of measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="resnet50", help="of that name in torchvision and in timm")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--compiled", action="store_true", help="compile both networks")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("This machine has no GPU that PyTorch can use; the step is measured where there is one.")
    if importlib.util.find_spec("timm") is None:
        sys.exit("timm is missing; `make bench` installs what the extra `bench` names into .venv-bench.")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {options.architecture} x {options.batch_size}")
    makers = {"ours": ours, "timm": timms}
    updates = {name: make(options.architecture, options.batch_size, options.compiled) for name, make in makers.items()}
    speeds: dict[str, list[float]] = {name: [] for name in updates}
    for _ in range(options.pairs):
        for name, update in updates.items():
            speeds[name].append(options.batch_size / seconds_of(update))
    for name, found in speeds.items():
        print(f"{name:5} {statistics.median(found):8.0f} images/s ({min(found):.0f} to {max(found):.0f})")
    ratios = [one / other for one, other in zip(*speeds.values(), strict=True)]
    print(f"ours / timm: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {statistics.median(ratios):.2f}")


def seconds_of(update: Update) -> float:
    """Return the seconds of an update, once it is warm."""
    for number in range(N_WARM):
        update(number)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for number in range(N_UPDATES):
        update(number)
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / N_UPDATES


def ours(architecture: str, batch_size: int, compiled: bool) -> Update:
    """Return an update of fine-tuning, from rows in memory to moved weights."""
    engine = Engine(torch.device("cuda"), bfloat16=True, compiled=compiled, say=print)
    backbone = build_backbone(BackboneReference.parse(f"torchvision/{architecture}@none"), None, seed=0)
    classifier = Classifier(backbone, N_CLASSES)
    engine.placed(classifier)
    step = scratch_plan([group.name for group in backbone.depth_groups], 1e-3)
    thaw(classifier, step.rates, adapts_norms=True)
    n_rows = 4 * batch_size
    images = torch.randint(0, 255, (n_rows, SIDE_PX, SIDE_PX, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    rows = Examples(images, torch.arange(n_rows) % N_CLASSES)
    budget = Budget(10**6, 10**6, batch_size, 0.05, 0.1, augmentation=Augmentation(flip_probability=0.5))
    problem = Problem.of_images(classifier, Target(rows, rows, N_CLASSES), budget.augmentation, engine)
    learner, at = Learner(classifier, problem, step, budget, 10**6), Snapshot()

    def update(number: int) -> None:
        chosen = (torch.arange(batch_size) + number * batch_size) % n_rows
        learner.gradient(chosen, replace(at, batch=number), 0)
        learner.move(number, 1.0)

    return update


def timms(architecture: str, batch_size: int, compiled: bool) -> Update:
    """Return timm's step: its network, its clipping, its average of weights."""
    import timm
    from timm.utils import ModelEmaV3, dispatch_clip_grad

    network = timm.create_model(architecture, pretrained=False, num_classes=N_CLASSES)
    network = network.cuda().to(memory_format=torch.channels_last).train()
    average = ModelEmaV3(network, decay=0.999)
    run = torch.compile(network) if compiled else network
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05, fused=True)
    labels = torch.arange(batch_size, device="cuda") % N_CLASSES
    batches = [_batch(batch_size) for _ in range(4)]

    def update(number: int) -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = nn.functional.cross_entropy(run(batches[number % 4]), labels, label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        dispatch_clip_grad(network.parameters(), 1.0)
        optimiser.step()
        average.update(network)

    return update


def _batch(batch_size: int) -> Tensor:
    images = torch.randn(batch_size, 3, SIDE_PX, SIDE_PX, device="cuda")
    return images.contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
