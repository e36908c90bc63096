"""A network small enough to train within a test, and examples that it can learn."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from transfer.backbones.backbone import Backbone, Classifier, DepthGroup
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.loop import Event, train
from transfer.finetuning.plan import Step
from transfer.finetuning.problem import Problem
from transfer.records import Preprocess

SIDE_PX = 8
WIDTH = 6


def _block(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, WIDTH, 3, padding=1), nn.BatchNorm2d(WIDTH), nn.ReLU())


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Keep tiny operations on one thread: several threads wait for one another on a busy machine, for minutes."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def tiny_backbone() -> Callable[[], Backbone]:
    """Return a maker of equal trunks: three depth groups with norm statistics, dropout in the deepest."""

    def make() -> Backbone:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # noqa: TID251  within fork_rng
            trunk = nn.Sequential()
            trunk.add_module("stem", _block(3))
            trunk.add_module("middle", _block(WIDTH))
            trunk.add_module("deep", _block(WIDTH))
        trunk.add_module("pool", nn.AdaptiveAvgPool2d(1))
        trunk.add_module("flat", nn.Flatten())
        groups = tuple(DepthGroup(name, (name,)) for name in ("stem", "middle", "deep"))
        preprocess = Preprocess(SIDE_PX, SIDE_PX, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        return Backbone("test/tiny", trunk, WIDTH, groups, preprocess)

    return make


@pytest.fixture
def learn() -> Callable[..., Iterator[Event]]:
    """Return the loop on whole images, for training and validation examples of two classes."""

    def run(
        classifier: Classifier,
        train_set: Examples,
        val_set: Examples,
        step: Step,
        budget: Budget,
        seed: int,
        **lent: Any,
    ) -> Iterator[Event]:
        problem = Problem.of_images(classifier, Target(train_set, val_set, 2), budget.augmentation)
        return train(classifier, problem, step, budget, seed, **lent)

    return run


@pytest.fixture
def striped() -> Callable[[int, int], Examples]:
    """Return a maker of `n` noisy examples in two classes, horizontal and vertical stripes, from a seed."""

    def make(n_examples: int, seed: int) -> Examples:
        draw = torch.Generator().manual_seed(seed)
        labels = torch.arange(n_examples) % 2
        line = (torch.arange(SIDE_PX) % 2).float()
        stripes = torch.where(labels.view(-1, 1, 1) == 0, line.view(1, 1, -1), line.view(1, -1, 1))
        noise = torch.rand((n_examples, 3, SIDE_PX, SIDE_PX), generator=draw)
        pixels = 255 * (0.5 * stripes.unsqueeze(1) + 0.5 * noise)
        return Examples(pixels.to(torch.uint8), labels)

    return make
