"""fastai's `vision_learner(...).fine_tune(3)`, its defaults but for the weights.

fastai knows no MobileNetV2, so it is told what it looks up for the networks it knows: where the body ends (at the
pooling) and which statistics the weights were trained under.
"""

import torch
from fastai.vision.all import (
    Callback,
    CancelValidException,
    ImageDataLoaders,
    Normalize,
    Resize,
    imagenet_stats,
    set_seed,
    vision_learner,
)
from torch import nn

from benchmarks.peers import images
from benchmarks.peers.clock import Clock
from benchmarks.peers.plain import Task

EPOCHS = 3


def fine_tune(task: Task) -> Clock:
    """Run fastai: an epoch of the head, then three of everything."""
    pixels, labels = _test_images(task)
    set_seed(task.seed)
    clock = Clock(lambda network: images.accuracy(network, pixels, labels))

    def body_and_pool(*, pretrained: bool) -> nn.Module:  # noqa: ARG001  fastai passes it by name
        return nn.Sequential(images.pretrained(task.weights).features, nn.AdaptiveAvgPool2d(1))

    learner = vision_learner(_loaders(task), body_and_pool, cbs=_Noting(clock))
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(EPOCHS)
    return clock


class _Noting(Callback):
    """Notes every epoch, in place of fastai's own pass over the test images."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def before_validate(self) -> None:
        """Skip it."""
        raise CancelValidException

    def after_epoch(self) -> None:
        """Measure the network outside the clock."""
        self.clock.note(f"epoch {len(self.clock.points) + 1}", self.learn.model)


def _loaders(task: Task) -> ImageDataLoaders:
    return ImageDataLoaders.from_folder(
        task.folder,
        train="train",
        valid="test",
        item_tfms=Resize(images.CROP_PX),
        batch_tfms=Normalize.from_stats(*imagenet_stats),
        num_workers=task.workers,
    )


def _test_images(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the test images as fastai prepares them, uint8 (N, 3, 224, 224), and their labels."""
    valid = _loaders(task).valid
    pictures, labels = zip(*(valid.after_item(item) for item in valid.dataset), strict=True)
    return torch.stack([one.as_subclass(torch.Tensor) for one in pictures]), torch.tensor([*map(int, labels)])
