"""What people write by hand: the PyTorch tutorial's two ways, a full fine-tuning, logistic regression on features.

Source: S. Chilamkurthy, "Transfer Learning for Computer Vision Tutorial", pytorch.org: batches of 4, SGD at 0.001 with
momentum 0.9, a tenth of the rate every 7 epochs, random resized crops and flips.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

from benchmarks.peers.clock import Clock
from benchmarks.peers.images import CROP_PX, NORMALISED, RESIZE_PX, accuracy, pretrained, test_images, with_new_head
from transfer.randomness import global_randomness

VARIED = transforms.Compose([transforms.RandomResizedCrop(CROP_PX), transforms.RandomHorizontalFlip(), *NORMALISED])
AS_THEY_ARE = transforms.Compose([transforms.Resize(RESIZE_PX), transforms.CenterCrop(CROP_PX), *NORMALISED])
TUTORIAL_EPOCHS, TUTORIAL_BATCH, TUTORIAL_RATE, TUTORIAL_STEP = 25, 4, 0.001, 7
FULL_BATCH, FULL_RATE, FULL_DECAY, FULL_SMOOTHING, FULL_IMAGES, FULL_LEAST_EPOCHS = 32, 5e-4, 0.05, 0.1, 1250, 2
FEATURE_BATCH = 32


@dataclass(frozen=True, slots=True)
class Task:
    """What a peer is given.

    Args:
        folder: of the images, see `images.lay_out`.
        weights: the file of pretrained weights.
        seed: of order, augmentation and new layers.
        workers: processes that load images.
        limit_s: an open-ended method stops after the first epoch that ends later.
    """

    folder: Path
    weights: Path
    seed: int
    workers: int
    limit_s: float


def fixed_extractor(task: Task) -> Clock:
    """Run the tutorial's "ConvNet as fixed feature extractor"."""
    return _tutorial(task, fixed=True)


def tutorial_finetuning(task: Task) -> Clock:
    """Run the tutorial's "Finetuning the ConvNet"."""
    return _tutorial(task, fixed=False)


def full_finetuning(task: Task) -> Clock:
    """Train every layer with AdamW under a cosine, as timm's recipes do, for as many images as take about 100 s."""
    measure = _measure(task)
    with global_randomness(task.seed, "full fine-tuning"):
        clock = Clock(measure)
        images, network = _training(task, FULL_BATCH)
        n_epochs = max(FULL_LEAST_EPOCHS, round(FULL_IMAGES / (len(images) * FULL_BATCH)))
        optimiser = torch.optim.AdamW(network.parameters(), FULL_RATE, weight_decay=FULL_DECAY)
        schedule = lr_scheduler.CosineAnnealingLR(optimiser, n_epochs * len(images))
        loss = nn.CrossEntropyLoss(label_smoothing=FULL_SMOOTHING)
        for epoch in range(1, n_epochs + 1):
            _epoch(network, images, optimiser, loss, schedule.step)
            clock.note(f"epoch {epoch}", network)
    return clock


def logistic_regression(task: Task) -> Clock:
    """Fit scikit-learn's logistic regression to the features of one pass of the frozen network."""
    measure = _measure(task)
    clock = Clock(measure)
    examples = ImageFolder(str(task.folder / "train"), AS_THEY_ARE)
    network = pretrained(task.weights).eval()
    trunk = nn.Sequential(network.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        rows = [trunk(images) for images, _ in DataLoader(examples, FEATURE_BATCH, num_workers=task.workers)]
    fitted = LogisticRegression(max_iter=1000).fit(torch.cat(rows).numpy(), examples.targets)
    clock.note("fitted", nn.Sequential(trunk, _as_layer(fitted)).eval())
    return clock


def _tutorial(task: Task, *, fixed: bool) -> Clock:
    measure = _measure(task)
    with global_randomness(task.seed, "tutorial"):
        clock = Clock(measure)
        images, network = _training(task, TUTORIAL_BATCH)
        if fixed:
            for parameter in network.features.parameters():
                parameter.requires_grad = False
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimiser = torch.optim.SGD(trained, TUTORIAL_RATE, momentum=0.9)
        schedule = lr_scheduler.StepLR(optimiser, TUTORIAL_STEP, gamma=0.1)
        for epoch in range(1, TUTORIAL_EPOCHS + 1):
            _epoch(network, images, optimiser, nn.CrossEntropyLoss())
            schedule.step()
            clock.note(f"epoch {epoch}", network)
            if clock.seconds() > task.limit_s:
                break
    return clock


def _training(task: Task, batch_size: int) -> tuple[DataLoader[Tensor], models.MobileNetV2]:
    examples = ImageFolder(str(task.folder / "train"), VARIED)
    images = DataLoader(examples, batch_size, shuffle=True, num_workers=task.workers)
    return images, with_new_head(task.weights, len(examples.classes))


def _epoch(
    network: nn.Module,
    images: DataLoader[Tensor],
    optimiser: torch.optim.Optimizer,
    loss: nn.Module,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    network.train()
    for inputs, labels in images:
        optimiser.zero_grad()
        found = loss(network(inputs), labels)
        if not math.isfinite(float(found.detach())):
            raise RuntimeError(f"The loss of {type(optimiser).__name__} is no longer finite.")
        found.backward()
        optimiser.step()
        after_step()


def _measure(task: Task) -> Callable[[nn.Module], float]:
    pixels, labels = test_images(task.folder)
    return lambda network: accuracy(network, pixels, labels)


def _as_layer(fitted: LogisticRegression) -> nn.Linear:
    """Return the regression as a layer; of two classes scikit-learn keeps the difference."""
    weight, bias = torch.from_numpy(fitted.coef_).float(), torch.from_numpy(fitted.intercept_).float()
    if len(weight) == 1:
        weight, bias = torch.cat((torch.zeros_like(weight), weight)), torch.cat((torch.zeros_like(bias), bias))
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer
