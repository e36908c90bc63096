"""Run the training loop in one of several processes: `python rank_runs.py OUT RANK SIZE NAME...`, for test_parallel.py.

A name switches something on; OUT/<rank>.safetensors and OUT/<rank>.json say how it ended.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn

from transfer.backbones.backbone import Backbone, Classifier, DepthGroup
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.engine import Engine
from transfer.finetuning.loop import train
from transfer.finetuning.parallel import ALONE, LostRankError, Ranks, Together
from transfer.finetuning.plan import Step
from transfer.finetuning.problem import Problem
from transfer.finetuning.snapshot import Snapshot
from transfer.records import REMEDIES, ClassBalance, Preprocess

SIDE_PX, WIDTH, KEPT = 8, 6, 4
BUDGET = Budget(200, 5, 8, 0.01, 0.1, None, Augmentation(flip_probability=0.5, trivial=True), anchor=0.01)


class Troubled(nn.Module):
    """A network that fails in one process: for want of memory, by numbers, or by the process's end."""

    def __init__(self, network: nn.Module, rank: int, names: set[str]) -> None:
        super().__init__()
        self.network, self.rank, self.names, self.calls = network, rank, names, 0

    def forward(self, images: Tensor) -> Tensor:
        """Fail in process 1, at its fourth pass or where more than two images come."""
        if not torch.is_grad_enabled() or self.rank != 1:
            return self.made(images)
        self.calls += 1
        if "killed" in self.names and self.calls == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        made = self.made(images)
        if "memory" in self.names and len(images) > 2:
            torch.empty(10**15)
        return made * (torch.nan if "exploding" in self.names and self.calls == 4 else 1.0)

    def made(self, images: Tensor) -> Tensor:
        """Return what the network makes of images."""
        found: Tensor = self.network(images)
        return found


def trunk(dropout: float) -> nn.Sequential:
    """Return three blocks with norms."""

    def block(channels: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(channels, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())

    blocks = {"stem": block(3), "middle": block(WIDTH), "deep": block(WIDTH)}
    blocks["deep"].append(nn.Dropout(dropout))
    made = nn.Sequential()
    for name, one in blocks.items():
        made.add_module(name, one)
    made.add_module("pool", nn.AdaptiveAvgPool2d(1))
    made.add_module("flat", nn.Flatten())
    return made


def posed(names: set[str], rank: int, engine: Engine) -> tuple[Classifier, Problem]:
    """Return a classifier and what it learns: 41 rows, so that batches and shares are uneven."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # noqa: TID251  within fork_rng
        made = trunk(0.2 if "dropout" in names else 0.0)
        images = torch.randint(0, 255, (51, 3, SIDE_PX, SIDE_PX), dtype=torch.uint8)
    labels = torch.arange(51) % 2
    images[labels == 0, :, ::2] //= 2
    groups = tuple(DepthGroup(name, (name,)) for name in ("stem", "middle", "deep"))
    preprocess = Preprocess(SIDE_PX, SIDE_PX, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    classifier = Classifier(Backbone("test/tiny", made, WIDTH, groups, preprocess), 2)
    n_train = 3 if "few" in names else 41
    target = Target(Examples(images[:n_train], labels[:n_train]), Examples(images[41:], labels[41:]), 2)
    problem = Problem.of_images(classifier, target, BUDGET.augmentation, engine)
    for remedy in names.intersection(REMEDIES):
        problem = replace(problem, balance=ClassBalance((30, 11), equally=True, remedy=remedy))
    if names & {"memory", "exploding", "killed"}:
        problem = replace(problem, network=Troubled(classifier, rank, names))
    return classifier, problem


def main() -> None:
    """Train, and write what came of it."""
    out, rank, size, names = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), set(sys.argv[4:])
    torch.set_num_threads(1)
    ranks: Ranks = ALONE
    if size > 1:
        store = distributed.FileStore(str(out / "store"), size)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=60))
        ranks = Together(rank, size)
    classifier, problem = posed(names, rank, Engine(ranks=ranks))
    step = Step("all", {"deep": 0.02, "middle": 0.01, "head": 0.05}, adapts_norms="norms" in names)
    budget = replace(BUDGET, at_once=3) if "parts" in names else BUDGET
    kept: list[Snapshot] = []
    said: dict[str, Any] = {}
    began = time.monotonic()
    try:
        events = list(train(classifier, problem, step, budget, 3, _start(names, out), kept.append))
        said["events"] = [{"kind": type(event).__name__, **asdict(event)} for event in events]
    except LostRankError as error:
        said |= {"lost": str(error), "seconds": time.monotonic() - began}
    save_file(
        {name: value.contiguous() for name, value in classifier.state_dict().items()}, out / f"{rank}.safetensors"
    )
    if "keep" in names and rank == 0:
        plain = {name: getattr(kept[KEPT], name) for name in kept[KEPT].__dataclass_fields__ if name != "tensors"}
        (out / "snapshot.json").write_text(json.dumps(plain), encoding="utf-8")
        save_file(dict(kept[KEPT].tensors), out / "snapshot.safetensors")
    (out / f"{rank}.json").write_text(json.dumps(said), encoding="utf-8")
    if size > 1:
        with suppress(RuntimeError):
            distributed.destroy_process_group()


def _start(names: set[str], out: Path) -> Snapshot | None:
    if "resume" not in names:
        return None
    plain = json.loads((out / "snapshot.json").read_text(encoding="utf-8"))
    return Snapshot(**plain, tensors=load_file(out / "snapshot.safetensors"))


if __name__ == "__main__":
    main()
