"""The training loop: it yields what happened and keeps where it stands; its caller logs, draws, stores and stops.

All randomness is a function of seed, step, epoch and batch, so that a run taken up again where it was stored goes on to
the very weights it would have reached. What happens within an update is in `transfer.finetuning.updates`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from torch import Tensor

from transfer.backbones.backbone import Classifier
from transfer.errors import UserError
from transfer.finetuning.balance import epoch_order
from transfer.finetuning.budget import Budget, batches, n_batches
from transfer.finetuning.freezing import thaw
from transfer.finetuning.memory import ShortOfMemoryError
from transfer.finetuning.plan import Step
from transfer.finetuning.problem import Problem
from transfer.finetuning.snapshot import Snapshot, by_prefix
from transfer.finetuning.states import State, copied
from transfer.finetuning.updates import ExplodedError, Learner, require_sane
from transfer.records import EpochRecord, Rescue

_SNAPSHOT_EVERY = 16
_MOST_RESCUES = 3
MEMORY = "memory"

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
        start: where to go on; the beginning when None. The classifier must be the one that the run began with. Where
            the budget has room for fewer images at once than there was, as many as it says.
        keep: called with where the run stands, every few updates.
        advance: called with the number of images of every batch.

    Raises:
        UserError: training diverges in spite of `_MOST_RESCUES` rescues.
    """
    thaw(classifier, step.rates, adapts_norms=step.adapts_norms, trains=step.trains)
    run = _Run(classifier, problem, step, budget, seed)
    run.restore(_fitting(start, budget) if start else run.captured(Snapshot(at_once=budget.at_once)))
    if start is not None:
        advance(run.images_before())
    while not run.ended():
        failure = run.go_on(keep, advance)
        yield run.rescued(failure) if failure else run.closed_epoch()
    run.leave_best()
    thaw(classifier, ())


def _fitting(start: Snapshot, budget: Budget) -> Snapshot:
    limits = [limit for limit in (start.at_once, budget.at_once) if limit is not None]
    return replace(start, at_once=min(limits, default=None))


class _Run:
    """A run of the loop: the network, its optimiser, and where it stands."""

    def __init__(self, classifier: Classifier, problem: Problem, step: Step, budget: Budget, seed: int) -> None:
        self.problem, self.step, self.budget, self.seed = problem, step, budget, seed
        self.n_train = len(problem.train.labels)
        self.sizes = budget.epoch_sizes(self.n_train)
        self.learner = Learner(classifier, problem, step, budget, self._updates(len(self.sizes)))
        self.at = Snapshot()
        self.good = self.at
        self.best: State = copied(self.learner.live)
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
        tensors = self.learner.tensors()
        tensors |= {f"best.{name}": value for name, value in self.best.items()}  # replaced as a whole, never changed
        return replace(at, average_weight=self.learner.average.weight, tensors=tensors)

    def restore(self, at: Snapshot) -> None:
        """Go to where a snapshot stands."""
        self.learner.restore(at)
        self.best = dict(by_prefix(at.tensors)["best"])
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
        except ExplodedError as failure:
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
                f"Training diverged in the step {self.step.name!r} at learning rates up to "
                f"{max(self.learner.peaks):g}, and at a tenth of them {_MOST_RESCUES} times over; lower them."
            )
        self.restore(back)
        return Rescue(self.step.name, epoch, what, back.rate_scale, back.at_once, back.epoch)

    def leave_best(self) -> None:
        """Give the network the weights with the lowest validation NLL."""
        self.learner.put(self.best)

    def _half(self) -> int:
        most = -(-min(self.budget.batch_size, self.n_train) // self.problem.engine.ranks.size)
        at_once = min(self.at.at_once or most, most)
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

    def _update(self, number: int, rows: Tensor, keep: Callable[[Snapshot], None]) -> float:
        """Make an update; a snapshot of where it began counts only once its loss is known to be sane."""
        before = self.captured(self.at) if number % _SNAPSHOT_EVERY == 0 else None
        loss = self.learner.gradient(rows, self.at, self.seed)
        if before is not None:
            self.good = before
            keep(before)
        self.learner.move(self._updates(self.at.epoch - 1) + number, self.at.rate_scale)
        return loss

    def _close(self, n_images: int) -> None:
        """Measure the averaged weights on validation and begin the next epoch."""
        live = {name: value.detach().clone() for name, value in self.learner.live.items()}
        self.learner.put(self.learner.average.values())
        found = self.problem.judged()
        nll = found.nll
        require_sane(nll, "validation loss")
        lowest = math.inf if self.at.best_nll is None else self.at.best_nll
        if nll < min(lowest, self.problem.to_beat):
            self.at = replace(self.at, progress_epoch=self.at.epoch)
        if nll < lowest:
            self.best = copied(self.learner.live)
            self.at = replace(self.at, best_epoch=self.at.epoch, best_nll=nll)
        self.learner.put(live)
        epoch, train_loss = self.at.epoch, self.at.loss_sum / n_images
        self.closed = EpochRecord(self.step.name, epoch, sum(self.sizes[:epoch]), train_loss, nll, found.accuracy)
        self.at = replace(self.at, epoch=epoch + 1, batch=0, loss_sum=0.0)
