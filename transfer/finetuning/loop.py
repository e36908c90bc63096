"""The training loop: it yields what happened and keeps where it stands; its caller logs, draws, stores and stops.

All randomness is a function of seed, step, epoch and batch, so that a run taken up again where it was stored goes on to
the very weights it would have reached.

Source: AdamW, Loshchilov and Hutter 2019, arXiv:1711.05101; label smoothing, Szegedy et al. 2016, arXiv:1512.00567,
section 7; L2-SP, Li et al. 2018, arXiv:1802.01483.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Classifier
from transfer.errors import UserError
from transfer.finetuning.averaging import MovingAverage
from transfer.finetuning.balance import epoch_order, largest_weight, loss_of, turns
from transfer.finetuning.budget import Budget, batches, n_batches
from transfer.finetuning.freezing import HEAD, parameter_groups, thaw
from transfer.finetuning.memory import ShortOfMemoryError, is_memory_shortage
from transfer.finetuning.plan import Step
from transfer.finetuning.problem import Problem
from transfer.finetuning.schedule import warm_up_cosine
from transfer.finetuning.snapshot import Snapshot, by_prefix
from transfer.finetuning.states import State, trained_state
from transfer.randomness import generator, global_randomness
from transfer.records import EpochRecord, Rescue

_GRADIENT_NORM = 1.0
_SNAPSHOT_EVERY = 16
_MOST_RESCUES = 3
_EXPLODED = 100.0  # times the loss of guessing, or that of the run's first batch where it is larger
MEMORY = "memory"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")

Event = EpochRecord | Rescue


def train(
    classifier: Classifier,
    problem: Problem,
    step: Step,
    budget: Budget,
    seed: int,
    start: Snapshot | None = None,
    keep: Callable[[Snapshot], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Event]:
    """Train the groups that a step names; yield a record an epoch; leave the weights with the lowest validation NLL.

    Validation measures the moving average of the weights, and that is what is left. A loss or gradient that
    explodes takes training back to the last snapshot, at a tenth of the rates.

    Args:
        classifier: changed in place; at the end nothing in it is trainable and it is in evaluation mode.
        problem: at least two training rows and one validation row.
        step: group -> learning rate; other groups stay byte-equal.
        budget: how long.
        seed: of the order, the augmentation and dropout.
        start: where to go on; the beginning when None. The classifier must be the one that the run began with.
        keep: called with where the run stands, every few updates.
        advance: called with the number of images of every batch.

    Raises:
        UserError: training diverges in spite of `_MOST_RESCUES` rescues.
    """
    thaw(classifier, step.rates, adapts_norms=step.adapts_norms, trains=step.trains)
    run = _Run(classifier, problem, step, budget, seed)
    run.restore(start or run.captured(Snapshot(at_once=budget.at_once)))
    if start is not None:
        advance(run.images_before())
    while not run.ended():
        failure = run.go_on(keep, advance)
        yield run.rescued(failure) if failure else run.closed_epoch()
    run.leave_best()
    thaw(classifier, ())


class _ExplodedError(Exception):
    """A quantity is no longer finite, or beyond all reason; the message names it."""


class _Run:
    """A run of the loop: the network, its optimiser, and where it stands."""

    def __init__(self, classifier: Classifier, problem: Problem, step: Step, budget: Budget, seed: int) -> None:
        self.problem, self.step, self.budget, self.seed = problem, step, budget, seed
        self.n_train = len(problem.train.labels)
        self.sizes = budget.epoch_sizes(self.n_train)
        self.n_updates = self._updates(len(self.sizes))
        self.groups = parameter_groups(classifier, step.rates, budget.weight_decay, step.trains)
        self.optimiser = torch.optim.AdamW(self.groups, fused=True)
        self.peaks = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.live = trained_state(classifier)
        self.average = MovingAverage(self.n_updates)
        self.anchors = _anchors(classifier) if budget.anchor else []
        self.at = Snapshot()
        self.good = self.at
        self.best: State = {name: value.clone() for name, value in self.live.items()}
        self.closed: EpochRecord | None = None

    def ended(self) -> bool:
        """Say whether all epochs are done, or none of the last ones helped."""
        done = self.at.epoch - 1
        if done >= len(self.sizes):
            return True
        patience = self.budget.patience
        return patience is not None and done - self.at.progress_epoch >= patience

    def images_before(self) -> int:
        """Return the images of this run that went by before where it stands."""
        within = batches(self._order(), self.budget.batch_size)[: self.at.batch] if not self.ended() else ()
        return sum(self.sizes[: self.at.epoch - 1]) + sum(len(batch) for batch in within)

    def captured(self, at: Snapshot) -> Snapshot:
        """Return a snapshot with copies of everything that an update changes."""
        tensors = {f"live.{name}": value.detach().clone() for name, value in self.live.items()}
        tensors |= {f"average.{name}": value.clone() for name, value in self.average.sums.items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}  # replaced as a whole, never changed
        for index, parameter in enumerate(self._parameters()):
            moments = self.optimiser.state.get(parameter, {})
            tensors |= {f"moment.{index}.{name}": moments[name].clone() for name in _MOMENTS if name in moments}
        return replace(at, average_weight=self.average.weight, tensors=tensors)

    def restore(self, at: Snapshot) -> None:
        """Go to where a snapshot stands."""
        found = by_prefix(at.tensors)
        with torch.no_grad():
            for name, value in self.live.items():
                value.copy_(found["live"][name])
        self.best = dict(found["best"])
        self.average.sums = {name: value.clone() for name, value in found.get("average", {}).items()}
        self.average.weight = at.average_weight
        self.optimiser.state.clear()
        moments = found.get("moment", {})
        for index, parameter in enumerate(self._parameters()):
            state = {name: moments[f"{index}.{name}"].clone() for name in _MOMENTS if f"{index}.{name}" in moments}
            if state:
                self.optimiser.state[parameter] = state
        self.at, self.good = replace(at, tensors={}), at

    def go_on(self, keep: Callable[[Snapshot], None], advance: Callable[[int], None]) -> str | None:
        """Train to the end of the epoch and measure it; return what went wrong, if anything did."""
        parts = batches(self._order(), self.budget.batch_size)
        try:
            for number in range(self.at.batch, len(parts)):
                loss = self._update(number, parts[number], keep)
                total = self.at.loss_sum + loss * len(parts[number])
                first = loss if self.at.first_loss is None else self.at.first_loss
                self.at = replace(self.at, batch=number + 1, loss_sum=total, first_loss=first)
                advance(len(parts[number]))
            self._close(sum(len(part) for part in parts))
        except _ExplodedError as failure:
            return str(failure)
        except ShortOfMemoryError:
            return MEMORY
        return None

    def closed_epoch(self) -> EpochRecord:
        """Return the record of the epoch that was measured last."""
        if self.closed is None:
            raise RuntimeError("No epoch was closed.")
        return self.closed

    def rescued(self, what: str) -> Rescue:
        """Go back to the last snapshot: at a tenth of the rates, or where memory ran out with half as many at once.

        Raises:
            UserError: that was done often enough, or a single image does not fit.
        """
        epoch = self.at.epoch
        if what == MEMORY:
            back = replace(self.good, at_once=self._half())
        elif self.good.rescues < _MOST_RESCUES:
            back = replace(self.good, rate_scale=self.good.rate_scale / 10, rescues=self.good.rescues + 1)
        else:
            raise UserError(
                f"Training diverged in the step {self.step.name!r} at learning rates up to {max(self.peaks):g}, "
                f"and at a tenth of them {_MOST_RESCUES} times over; lower them."
            )
        self.restore(back)
        return Rescue(self.step.name, epoch, what, back.rate_scale, back.at_once, back.epoch)

    def leave_best(self) -> None:
        """Give the network the weights with the lowest validation NLL."""
        with torch.no_grad():
            for name, value in self.live.items():
                value.copy_(self.best[name])

    def _half(self) -> int:
        at_once = min(self.at.at_once or self.budget.batch_size, self.n_train)
        if at_once <= 2:  # batch norm cannot train on one
            raise UserError(
                f"Memory ran out in the step {self.step.name!r} with two images; "
                "choose a smaller backbone or a smaller crop_px."
            )
        return (at_once + 1) // 2

    def _order(self) -> Tensor:
        problem, name = self.problem, self.step.name
        return epoch_order(problem.balance, problem.train.labels, self.sizes[: self.at.epoch], self.seed, name)

    def _updates(self, n_epochs: int) -> int:
        return sum(n_batches(size, self.budget.batch_size) for size in self.sizes[:n_epochs])

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]

    def _update(self, number: int, rows: Tensor, keep: Callable[[Snapshot], None]) -> float:
        """Make an update; a snapshot of where it began counts only once its loss is known to be sane."""
        due = number % _SNAPSHOT_EVERY == 0
        before = self.captured(self.at) if due else None
        purpose = f"{self.step.name} {self.at.epoch} {number}"
        turn = turns(self.problem.balance, rows, self.at.epoch, number)
        inputs = self.problem.train.varied(rows, turn, generator(self.seed, f"variation {purpose}"))
        self.optimiser.zero_grad(set_to_none=True)
        with global_randomness(self.seed, f"dropout {purpose}", inputs.device):
            loss = self._add_gradients(inputs, self.problem.train.labels[rows])
        for parameter, anchor in self.anchors:
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - anchor, alpha=self.budget.anchor)
        _require_sane(nn.utils.clip_grad_norm_(self._parameters(), _GRADIENT_NORM), "gradient")
        if before is not None:
            self.good = before
            keep(before)
        self._set_rates(self._updates(self.at.epoch - 1) + number)
        self.optimiser.step()
        self.average.update({name: value.detach() for name, value in self.live.items() if value.is_floating_point()})
        return loss

    def _add_gradients(self, inputs: Tensor, labels: Tensor) -> float:
        """Add the gradients of a batch's mean loss, a part that fits into memory at a time; return that loss."""
        n_parts = n_batches(len(inputs), self.at.at_once or len(inputs))
        total = 0.0
        try:
            for part, wanted in zip(inputs.tensor_split(n_parts), labels.tensor_split(n_parts), strict=True):
                logits = self.problem.network(part)
                loss = loss_of(self.problem.balance, logits, wanted, self.budget.label_smoothing)
                _require_sane(loss.detach(), "loss", self._bound(logits))
                (loss * (len(part) / len(inputs))).backward()
                total += float(loss.detach()) * (len(part) / len(inputs))
        except (RuntimeError, MemoryError) as error:
            if not is_memory_shortage(error):
                raise
            shortage = True
        else:
            shortage = False
        if shortage:  # raised here, where nothing of the part that did not fit is held any more
            raise ShortOfMemoryError
        return total

    def _bound(self, logits: Tensor) -> float:
        first = self.at.first_loss
        most = largest_weight(self.problem.balance) * math.log(logits.shape[1])
        return math.inf if first is None else _EXPLODED * max(1.0, most, first)

    def _set_rates(self, update: int) -> None:
        factor = self.at.rate_scale * warm_up_cosine(update, self.n_updates)
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor

    def _close(self, n_images: int) -> None:
        """Measure the averaged weights on validation and begin the next epoch."""
        averaged, live = self.average.values(), {name: value.detach().clone() for name, value in self.live.items()}
        with torch.no_grad():
            for name, value in averaged.items():
                self.live[name].copy_(value)
            found = self.problem.judged()
            nll = found.nll
            _require_sane(torch.tensor(nll), "validation loss")
            lowest = math.inf if self.at.best_nll is None else self.at.best_nll
            if nll < min(lowest, self.problem.to_beat):
                self.at = replace(self.at, progress_epoch=self.at.epoch)
            if nll < lowest:
                self.best = {name: value.detach().clone() for name, value in self.live.items()}
                self.at = replace(self.at, best_epoch=self.at.epoch, best_nll=nll)
            for name, value in live.items():
                self.live[name].copy_(value)
        epoch, train_loss = self.at.epoch, self.at.loss_sum / n_images
        self.closed = EpochRecord(self.step.name, epoch, sum(self.sizes[:epoch]), train_loss, nll, found.accuracy)
        self.at = replace(self.at, epoch=epoch + 1, batch=0, loss_sum=0.0)


def _anchors(classifier: Classifier) -> list[tuple[nn.Parameter, Tensor]]:
    """Return the trunk's trained weights with copies of their values."""
    return [
        (parameter, parameter.detach().clone())
        for name, parameter in classifier.named_parameters()
        if parameter.requires_grad and not name.startswith(f"{HEAD}.")
    ]


def _require_sane(value: Tensor, what: str, most: float = math.inf) -> None:
    if not bool(torch.isfinite(value)) or float(value) > most:
        raise _ExplodedError(what)
