"""The pretraining loop: classify images that are drawn anew for every step, and average the weights.

Source: AdamW, Loshchilov and Hutter 2019, arXiv:1711.05101; one-cycle schedule, Smith and Topin 2018, arXiv:1708.07120;
label smoothing, Szegedy et al. 2016, arXiv:1512.00567, section 7; weight averaging, Polyak and Juditsky 1992, SIAM J.
Control Optim. 30(4):838-855.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfer.pretraining.bank import Bank
from transfer.pretraining.render import render
from transfer.pretraining.sampling import integers
from transfer.records import Preprocess


@dataclass(frozen=True, slots=True)
class Settings:
    """How to pretrain.

    Args:
        steps: optimiser steps, at least 1.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule.
        warmup_fraction: share of the steps before the peak, in (0, 1).
        weight_decay: of all parameters.
        label_smoothing: in [0, 1).
        average_decay: of the moving average of the weights, in [0, 1).
        bfloat16: run the forward pass in bfloat16 where PyTorch's autocast does.
        report_every_steps: steps between two records.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup_fraction: float
    weight_decay: float
    label_smoothing: float
    average_decay: float
    bfloat16: bool
    report_every_steps: int


@dataclass(frozen=True, slots=True)
class PretrainingRecord:
    """What the loop yields.

    Args:
        step: optimiser steps done.
        images_seen: images rendered and trained on so far.
        train_loss: mean cross-entropy with label smoothing since the last record, nats.
        train_accuracy: since the last record, in [0, 1]; every image is new to the model.
        learning_rate: of the last step.
    """

    step: int
    images_seen: int
    train_loss: float
    train_accuracy: float
    learning_rate: float


def pretrain(
    trunk: nn.Module,
    head: nn.Module,
    average: nn.Module,
    bank: Bank,
    preprocess: Preprocess,
    settings: Settings,
    generator: torch.Generator,
) -> Iterator[PretrainingRecord]:
    """Train a trunk and a head to name the class of rendered images, in place.

    Args:
        trunk: (N, 3, S, S) -> (N, D), on the generator's device.
        head: (N, D) -> (N, K) logits; thrown away afterwards.
        average: a copy of the trunk that receives its moving average; this is the result.
        bank: the K classes.
        preprocess: side and normalisation of the images.
        settings: the schedule.
        generator: the only source of randomness; its device runs everything.

    Yields:
        A record every `report_every_steps` steps and after the last.
    """
    model = nn.Sequential(trunk, head).train().to(memory_format=torch.channels_last)
    optimiser, schedule = _optimiser(model, settings)
    total = torch.zeros(3, device=generator.device)
    for step in range(1, settings.steps + 1):
        images, labels = draw_batch(bank, preprocess, settings.batch_size, generator)
        total += _step(model, optimiser, images, labels, settings)
        rate = float(schedule.get_last_lr()[0])
        schedule.step()
        _update_average(average, trunk, min(settings.average_decay, step / (step + 10.0)))
        if step % settings.report_every_steps == 0 or step == settings.steps:
            loss, accuracy, _ = (total / total[2]).tolist()
            yield PretrainingRecord(step, step * settings.batch_size, loss, accuracy, rate)
            total.zero_()


def draw_batch(bank: Bank, preprocess: Preprocess, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Render n images of classes drawn uniformly.

    Returns:
        Normalised images, float32 (n, 3, S, S) in channels-last order, and labels, int64 (n,).
    """
    labels = integers((n,), 0, bank.n_classes, generator)
    images = render(bank, labels, preprocess.crop_px, generator)
    return normalised(images, preprocess).contiguous(memory_format=torch.channels_last), labels


def normalised(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Normalise float images (N, 3, H, W) in [0, 1] with the card's mean and standard deviation."""
    mean = torch.tensor(preprocess.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocess.std, device=images.device).view(1, 3, 1, 1)
    return (images - mean) / std


def _optimiser(
    model: nn.Module, settings: Settings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        settings.learning_rate,
        total_steps=settings.steps + 1,
        pct_start=settings.warmup_fraction,
        cycle_momentum=False,
    )
    return optimiser, schedule


def _step(
    model: nn.Module, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor, settings: Settings
) -> Tensor:
    """Take one optimiser step; returns the batch's summed loss, correct answers and images, float32 (3,)."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.bfloat16):
        logits = model(images)
    logits = logits.float()
    loss = functional.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    correct = (logits.argmax(dim=1) == labels).sum()
    n = torch.tensor(float(labels.shape[0]), device=images.device)
    return torch.stack([loss.detach() * n, correct.float(), n])


@torch.no_grad()
def _update_average(average: nn.Module, trunk: nn.Module, decay: float) -> None:
    """Move the average towards the trunk, norm statistics too: a <- decay a + (1 - decay) w."""
    for mine, theirs in zip(average.state_dict().values(), trunk.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, 1.0 - decay)
        else:
            mine.copy_(theirs)
