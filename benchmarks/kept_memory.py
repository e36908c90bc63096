"""Measure what keeping freed memory gains in training: the same updates with and without it, in turn.

    python benchmarks/kept_memory.py

Each measurement is a process of its own, because what malloc keeps cannot be given up again. Prints seconds an update,
the share of it spent in the system, the peak memory, and the ratio of each pair.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torchvision.models import mobilenet_v2

from adapters.processes import keep_freed_memory

N_UPDATES, BATCH_SIZE, SIDE_PX = 8, 32, 224


def main() -> None:
    """Run pairs of measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--one", choices=("as-is", "kept"), help="make one measurement and print it as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(kept=options.one == "kept")))
        return
    ratios = []
    for _ in range(options.pairs):
        as_is, kept = in_a_process("as-is"), in_a_process("kept")
        ratios.append(as_is["seconds"] / kept["seconds"])
        for name, one in (("as is", as_is), ("kept", kept)):
            print(f"{name:6} {one['seconds']:.2f} s, system {one['system_s']:.2f} s, peak {one['peak_mib']:.0f} MiB")
    print(f"as is / kept: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {statistics.median(ratios):.2f}")


def in_a_process(name: str) -> dict[str, float]:
    """Make one measurement in a new process."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", name], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    figures: dict[str, float] = json.loads(done)
    return figures


def measure(*, kept: bool) -> dict[str, float]:
    """Return seconds and system seconds of an update of a whole MobileNetV2, and the peak memory in MiB."""
    if kept:
        keep_freed_memory()
    network = mobilenet_v2(weights=None, num_classes=2).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters())
    images = torch.rand(BATCH_SIZE, 3, SIDE_PX, SIDE_PX).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH_SIZE) % 2
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for update in range(N_UPDATES + 1):
        if update == 1:  # the first one allocates in both cases
            before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        loss = nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds / N_UPDATES,
        "system_s": (after.ru_stime - before.ru_stime) / N_UPDATES,
        "peak_mib": after.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
