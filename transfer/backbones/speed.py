"""How fast a network is on this machine: single images through it, and images in an update of all its weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from transfer.backbones.backbone import Classifier
from transfer.backbones.held import counting_held
from transfer.backbones.modes import evaluating

_N_TIMED, _MOST_S = 15, 0.3  # single images: as many, or as many as fit
_N_WARM, _N_FOR_TAIL = 5, 100  # single images, of which the slow ones are asked for
_N_UPDATES = 2
_BATCH = 8  # images of an update: enough to keep two cores busy, few enough to fit anywhere


@dataclass(frozen=True, slots=True)
class Speed:
    """What a network costs in PyTorch on a machine.

    Args:
        latency_s: seconds of a single image through trunk and head.
        update_s: seconds an image takes in an update of all weights, in batches of 8.
        held_bytes: what autograd holds for an image of an update.
        n_bytes: of all weights.
    """

    latency_s: float
    update_s: float
    held_bytes: int
    n_bytes: int


def measured_speed(classifier: Classifier, now: Callable[[], float]) -> Speed:
    """Measure a network on images of no content; it is left as it was.

    The shortest of several runs counts: other work on the machine only makes them longer.

    Args:
        classifier: any; values that are not finite do not matter.
        now: a clock, seconds.
    """
    side_px = classifier.backbone.preprocess.crop_px
    images = torch.zeros(_BATCH, 3, side_px, side_px)
    with evaluating(classifier):
        latency_s = min(_single_images_s(classifier, images[:1], now, _N_TIMED, _MOST_S))
        update_s, held_bytes = _update(classifier, images, now)
    n_bytes = sum(value.numel() * value.element_size() for value in classifier.parameters())
    return Speed(latency_s, update_s, held_bytes, n_bytes)


def latency_p95_s(classifier: Classifier, now: Callable[[], float]) -> float:
    """Return the seconds in which 95 of 100 single images are through trunk and head, in PyTorch on this machine.

    Args:
        classifier: any; it is left as it was.
        now: a clock, seconds.
    """
    side_px, n_timed = classifier.backbone.preprocess.crop_px, _N_WARM + _N_FOR_TAIL
    with evaluating(classifier):
        seconds = _single_images_s(classifier, torch.zeros(1, 3, side_px, side_px), now, n_timed)
    return sorted(seconds[_N_WARM:])[round(0.95 * _N_FOR_TAIL) - 1]


def _single_images_s(
    classifier: Classifier, image: torch.Tensor, now: Callable[[], float], n_timed: int, most_s: float = math.inf
) -> list[float]:
    """Return the seconds of an image in so many passes, or in as many as fit."""
    seconds: list[float] = []
    with torch.inference_mode():
        classifier(image)  # allocates, and chooses kernels
        while len(seconds) < n_timed and (not seconds or sum(seconds) < most_s):
            began = now()
            classifier(image)
            seconds.append(now() - began)
    return seconds


def _update(classifier: Classifier, images: torch.Tensor, now: Callable[[], float]) -> tuple[float, int]:
    """Return the seconds of an image in a forward and a backward pass, and the bytes that autograd holds for it."""
    parameters = list(classifier.parameters())
    before = [parameter.requires_grad for parameter in parameters]
    labels = torch.zeros(len(images), dtype=torch.int64)
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        with counting_held(classifier.state_dict().values()) as held:
            torch.autograd.grad(_loss(classifier, images[:2], labels[:2]), parameters, allow_unused=True)
        seconds = []
        for _ in range(_N_UPDATES):
            began = now()
            torch.autograd.grad(_loss(classifier, images, labels), parameters, allow_unused=True)
            seconds.append(now() - began)
        return min(seconds) / len(images), sum(held.values()) // 2
    finally:
        for parameter, required in zip(parameters, before, strict=True):
            parameter.requires_grad_(required)


def _loss(classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(classifier(images), labels)
