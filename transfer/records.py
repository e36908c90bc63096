"""Frozen records: what stages, rooms and siblings of the core hand to one another.

Every record is plain data (numbers, strings, tuples, records), so that it can be written as JSON and compared by `==`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SPLITS = ("train", "val", "test")
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")
REMEDIES = ("none", "weights", "sampling", "logits")  # of unequal classes, the simplest first


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How an image becomes a tensor; owned by the backbone's card and stored inside the served model.

    Args:
        resize_px: length of the short side after resizing, in pixels; the aspect ratio is kept.
        crop_px: side of the centre crop, in pixels; at most `resize_px`.
        mean: per-channel mean in [0, 1], RGB.
        std: per-channel standard deviation in (0, 1], RGB.
        interpolation: one of `INTERPOLATIONS`, antialiased.
    """

    resize_px: int
    crop_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bilinear"


@dataclass(frozen=True, slots=True)
class Row:
    """One example of a data set: where it is, what it is, and what it may be used for.

    Args:
        path: location relative to the data set's folder, with forward slashes.
        label: class index in [0, n_classes).
        split: one of `SPLITS`.
        sha256: hex digest of the file's bytes.
    """

    path: str
    label: int
    split: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ClassBalance:
    """How unequal the classes are that are learned from, and what makes each of them count the same.

    Args:
        counts: training rows of each class; empty where nobody counted.
        equally: whether each class counts the same in every judgement, however few rows it has.
        remedy: what training does for small classes, one of `REMEDIES`.
        loo_nlls: remedy and leave-one-out loss of the probe under it, nats, each class counting the same; empty where
            nothing was compared.
        why: the choice in words.
    """

    counts: tuple[int, ...] = ()
    equally: bool = False
    remedy: str = "none"
    loo_nlls: tuple[tuple[str, float], ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one pass of the training loop yields.

    Args:
        step_name: which step of the plan ("probe", "last", "all", ...).
        epoch: 1-based within the step.
        images_seen: training images seen so far within the step.
        train_loss: mean training loss over the epoch, nats.
        val_nll: mean validation negative log likelihood, nats; the mean of the classes' where each counts equally.
        val_accuracy: validation accuracy in [0, 1]; the mean of the classes' where each counts equally.
    """

    step_name: str
    epoch: int
    images_seen: int
    train_loss: float
    val_nll: float
    val_accuracy: float


@dataclass(frozen=True, slots=True)
class Rescue:
    """Training went wrong and was taken back to where it last went well: at a tenth of the rate, or in smaller parts.

    Args:
        step_name: which step of the plan.
        epoch: 1-based, in which it went wrong.
        what: the quantity that exploded, "loss", "gradient" or "validation loss"; or "memory", which ran out.
        rate_scale: what every learning rate is multiplied by from then on, in (0, 1].
        at_once: images that go through the network at once from then on; a whole batch when None.
        back_to: the epoch that training went on in; earlier records of it and of later ones are void.
    """

    step_name: str
    epoch: int
    what: str
    rate_scale: float
    at_once: int | None = None
    back_to: int = 1


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How a step of the plan ended: kept only if the mean validation NLL fell beyond paired noise.

    Args:
        name: the step's name.
        trained_groups: depth groups with a schedule in this step; all others were frozen.
        val_nll_before: nats; None for the first step, which has nothing to fall back to.
        val_nll_after: nats.
        val_accuracy: after the step, in [0, 1].
        images_seen: training images seen in the step.
        kept: False when the step was rolled back.
        val_nll_noise: how far the mean would fall by chance, one-sided at 95 %, nats; None for the first step.
        blend: share of the step's change of weights that validation preferred, in (0, 1].
        sharpness: the inverse temperature that was folded into the head, above 0; None where none was, or where the
            logits are more than scores times it.
    """

    name: str
    trained_groups: tuple[str, ...]
    val_nll_before: float | None
    val_nll_after: float
    val_accuracy: float
    images_seen: int
    kept: bool
    val_nll_noise: float | None = None
    blend: float = 1.0
    sharpness: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its confidence interval: a proportion, in [0, 1], or a difference of two, in [-1, 1]."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """How well a backbone's frozen features separate the target's training rows.

    Args:
        reference: the backbone reference as the user wrote it.
        accuracy: expected of the fine-tuned model, by the rows, by what is known of the weights and by earlier runs,
            with its interval; of raw pixels that of a linear probe.
        probability_best: that it is the most accurate one of its pool, in [0, 1].
        level: whether it is one of the fewest that hold the best one with the probability of the interval.
        ridge_loo_accuracy: closed-form ridge leave-one-out accuracy in [0, 1].
        ridge_loo_error: its squared error, summed over the classes, mean over the rows, at least 0.
        knn_loo_accuracy: cosine k-nearest-neighbour leave-one-out accuracy in [0, 1].
        other_scores: further scores by name, of `transfer.selection.scores`, higher is better; None where undefined.
        imagenet_top1: published accuracy of the weights on ImageNet, in percent; None where there is none.
        n_rows: rows scored.
        feature_dim: width of the features.
        n_parameters: parameters of the trunk.
        weights_sha256: hex digest of the weights file; None for random weights.
        licence: of the weights, as their publisher states it; None where it is unknown.
        beyond: which limits it does not keep, so that it cannot be chosen; "" where it can.
        strategy: that was the best of those it was tried out with; None where it was not tried out.
        gain: by how much more the fine-tuned model is expected to reach than the probe, after earlier runs, logits.
    """

    reference: str
    accuracy: Interval
    probability_best: float
    level: bool
    ridge_loo_accuracy: float
    ridge_loo_error: float
    knn_loo_accuracy: float
    other_scores: Mapping[str, float | None]
    imagenet_top1: float | None
    n_rows: int
    feature_dim: int
    n_parameters: int
    weights_sha256: str | None
    licence: str | None = None
    beyond: str = ""
    strategy: str | None = None
    gain: float = 0.0

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "CandidateScore":
        """Read what `dataclasses.asdict` returned."""
        return cls(**{**values, "accuracy": Interval(**values["accuracy"])})


@dataclass(frozen=True, slots=True)
class CandidateCost:
    """What a backbone costs on the machine that it was measured on.

    Args:
        latency_ms: milliseconds of a single image through trunk and head, in PyTorch.
        size_mb: megabytes (10^6 bytes) of all weights.
        training_s: predicted seconds of the step that trains every layer.
        training_memory_mb: predicted megabytes that the step takes, in whole batches.
    """

    latency_ms: float
    size_mb: float
    training_s: float
    training_memory_mb: float


@dataclass(frozen=True, slots=True)
class RateSearch:
    """How fast a step learns was found by short runs that began with the same weights; trials in the order they ran.

    Args:
        step_name: which step of the plan.
        groups: depth groups whose rates were sought.
        scale: what their rates are multiplied by from then on.
        scales: of every trial.
        images_seen: training images of every trial.
        val_nlls: lowest validation NLL of every trial, nats; None where training exploded.
    """

    step_name: str
    groups: tuple[str, ...]
    scale: float
    scales: tuple[float, ...]
    images_seen: tuple[int, ...]
    val_nlls: tuple[float | None, ...]
