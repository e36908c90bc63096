"""The training loop: it yields what happened; its caller logs, draws and stops."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Classifier
from transfer.data.batches import Augmentation, augment, normalise
from transfer.data.examples import Examples
from transfer.errors import UserError
from transfer.finetuning.freezing import parameter_groups, thaw
from transfer.finetuning.plan import Step
from transfer.randomness import generator
from transfer.records import EpochRecord

_WARM_UP = 0.1
_GRADIENT_NORM = 1.0
_EVALUATION_BATCH = 64


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a step may last and how it learns.

    Args:
        max_images: training images the step may see.
        epochs: passes over the training rows, at most.
        batch_size: at least 2.
        weight_decay: AdamW's.
        label_smoothing: in [0, 1).
        patience: epochs in a row without a new lowest validation NLL that end a step; None: it never ends early.
        augmentation: how examples are varied.
    """

    max_images: int
    epochs: int
    batch_size: int
    weight_decay: float
    label_smoothing: float
    patience: int | None = 3
    augmentation: Augmentation = field(default_factory=Augmentation)

    def n_images(self, n_train: int) -> int:
        """Return how many images a step sees, at most, on a training set of `n_train`."""
        return sum(self.epoch_sizes(n_train))

    def epoch_sizes(self, n_train: int) -> tuple[int, ...]:
        """Return the images of each epoch: whole passes over `n_train`, then what the budget leaves of another.

        A single image is no epoch of its own: batch norm cannot take it.
        """
        whole, rest = divmod(min(self.max_images, self.epochs * n_train), n_train)
        return (n_train,) * whole + ((rest,) if rest > 1 else ())


def evaluate(classifier: Classifier, examples: Examples) -> tuple[float, float]:
    """Return the mean negative log likelihood (nats) and the accuracy of a classifier in evaluation mode."""
    logits = predict_logits(classifier, examples.inputs)
    loss = nn.functional.cross_entropy(logits.double(), examples.labels)
    return float(loss), float((logits.argmax(1) == examples.labels).double().mean())


def predict_logits(classifier: Classifier, inputs: Tensor, advance: Callable[[int], None] = lambda _: None) -> Tensor:
    """Return logits float32 (N, n_classes) of prepared inputs, in evaluation mode; the mode is restored."""
    modes = [(module, module.training) for module in classifier.modules()]
    classifier.eval()
    rows = []
    with torch.no_grad():
        for batch in inputs.split(_EVALUATION_BATCH):
            rows.append(classifier(normalise(batch, classifier.backbone.preprocess)).float())
            advance(len(batch))
    for module, training in modes:
        module.training = training
    return torch.cat(rows)


def train(
    classifier: Classifier,
    train_set: Examples,
    val_set: Examples,
    step: Step,
    budget: Budget,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[EpochRecord]:
    """Train the groups that a step names; yield a record an epoch; leave the weights with the lowest validation NLL.

    Args:
        classifier: changed in place; at the end nothing in it is trainable and it is in evaluation mode.
        train_set: at least two rows.
        val_set: at least one row.
        step: group -> learning rate; other groups stay byte-equal.
        budget: how long.
        seed: of the order and the augmentation.
        advance: called with the number of images of every batch.

    Raises:
        UserError: the loss is no longer finite.
    """
    thaw(classifier, step.rates, adapts_norms=step.adapts_norms)
    sizes = budget.epoch_sizes(len(train_set))
    schedule = _schedule(classifier, step, budget, sum(_n_batches(size, budget.batch_size) for size in sizes))
    order, varied = generator(seed, f"{step.name} order"), generator(seed, f"{step.name} augmentation")
    best_nll, best_state, best_epoch = math.inf, clone_state(classifier), 0
    for epoch, size in enumerate(sizes, start=1):
        rows = torch.randperm(len(train_set), generator=order)[:size]
        train_loss = _mean_loss(classifier, train_set, rows, schedule, budget, varied, advance)
        record = EpochRecord(step.name, epoch, sum(sizes[:epoch]), train_loss, *evaluate(classifier, val_set))
        _require_finite(step, record.train_loss + record.val_nll)
        if record.val_nll < best_nll:
            best_nll, best_state, best_epoch = record.val_nll, clone_state(classifier), epoch
        yield record
        if budget.patience is not None and epoch - best_epoch >= budget.patience:
            break
    classifier.load_state_dict(best_state)
    thaw(classifier, ())


def _require_finite(step: Step, loss: float) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"Training diverged in the step {step.name!r} at learning rates up to {max(step.rates.values()):g}; "
            "lower them."
        )


def clone_state(classifier: Classifier) -> dict[str, Tensor]:
    """Return a copy of all parameters and buffers."""
    return {name: value.detach().clone() for name, value in classifier.state_dict().items()}


def _schedule(classifier: Classifier, step: Step, budget: Budget, n_updates: int) -> torch.optim.lr_scheduler.LambdaLR:
    optimiser = torch.optim.AdamW(parameter_groups(classifier, step.rates, budget.weight_decay))
    return torch.optim.lr_scheduler.LambdaLR(optimiser, _warm_up_cosine(n_updates))


def _mean_loss(
    classifier: Classifier,
    examples: Examples,
    rows: Tensor,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    budget: Budget,
    varied: torch.Generator,
    advance: Callable[[int], None],
) -> float:
    """Make one update a batch of the named rows; return the mean loss over the rows.

    The trunk's frozen prefix runs without a graph: nothing in it asks for a gradient, so autograd records nothing.
    """
    loss_sum = 0.0
    for batch in rows.tensor_split(_n_batches(len(rows), budget.batch_size)):
        loss_sum += _update(classifier, examples, batch, schedule.optimizer, budget, varied) * len(batch)
        schedule.step()
        advance(len(batch))
    return loss_sum / len(rows)


def _update(
    classifier: Classifier,
    examples: Examples,
    batch: Tensor,
    optimiser: torch.optim.Optimizer,
    budget: Budget,
    varied: torch.Generator,
) -> float:
    inputs = augment(examples.inputs[batch], varied, budget.augmentation)
    logits = classifier(normalise(inputs, classifier.backbone.preprocess))
    loss = nn.functional.cross_entropy(logits, examples.labels[batch], label_smoothing=budget.label_smoothing)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    trained = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    nn.utils.clip_grad_norm_(trained, _GRADIENT_NORM)
    optimiser.step()
    return float(loss.detach())


def _n_batches(n_images: int, batch_size: int) -> int:
    """Return into how many batches of about equal size images are split: none too large, none of a single image."""
    return max(1, min(math.ceil(n_images / batch_size), n_images // 2))


def _warm_up_cosine(n_updates: int) -> Callable[[int], float]:
    warm_up = max(1, round(_WARM_UP * n_updates))

    def factor(update: int) -> float:
        if update < warm_up:
            return (update + 1) / warm_up
        progress = (update - warm_up) / max(1, n_updates - warm_up)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor
