"""One update: the gradient of a batch, made in parts where memory asks for it, clipped, and a step along it.

Where several processes share the work, each takes its rows of every batch through the network, and everything after
the sum of their gradients is the same in all of them. Variations are drawn for the whole batch, so that they do not
depend on the number of processes; dropout is drawn by each process for its own rows, so that it does.

Source: AdamW, Loshchilov and Hutter 2019, arXiv:1711.05101; label smoothing, Szegedy et al. 2016, arXiv:1512.00567,
section 7; L2-SP, Li et al. 2018, arXiv:1802.01483.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from transfer.backbones.backbone import Classifier
from transfer.finetuning.averaging import MovingAverage
from transfer.finetuning.balance import largest_weight, loss_of, turns
from transfer.finetuning.budget import Budget, n_batches
from transfer.finetuning.freezing import HEAD, parameter_groups
from transfer.finetuning.memory import ShortOfMemoryError, is_memory_shortage
from transfer.finetuning.parallel import filled_share
from transfer.finetuning.plan import Step
from transfer.finetuning.problem import Problem
from transfer.finetuning.schedule import warm_up_cosine
from transfer.finetuning.shared_norms import FINE, SHORT_OF_MEMORY, OtherRankFailedError, SharedNorms
from transfer.finetuning.snapshot import Snapshot, by_prefix
from transfer.finetuning.spectrum import features_seen, penalty_and_gradient, spectral_penalty
from transfer.finetuning.states import State, copied, trained_state
from transfer.randomness import drawn_ahead, generator, global_randomness

_GRADIENT_NORM = 1.0
_EXPLODED = 100.0  # times the loss of guessing, or that of the run's first batch where it is larger
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class ExplodedError(Exception):
    """A quantity is no longer finite, or beyond all reason; the message names it."""


class Learner:
    """A network, its optimiser and the moving average of its weights: all that an update changes.

    Args:
        classifier: thawed.
        problem: what it learns.
        step: group -> learning rate.
        budget: how it learns.
        n_updates: of the whole run.
    """

    def __init__(self, classifier: Classifier, problem: Problem, step: Step, budget: Budget, n_updates: int) -> None:
        self.problem, self.step, self.budget, self.n_updates = problem, step, budget, n_updates
        self.engine, self._forward = problem.engine, problem.engine.forward(problem.network)
        groups = parameter_groups(classifier, step.rates, budget.weight_decay, step.trains)
        self.optimiser = torch.optim.AdamW(groups, fused=True)
        self.peaks = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.live = trained_state(classifier)
        self.average = MovingAverage(n_updates)
        self.anchors = _anchors(classifier) if budget.anchor else []
        self.head = classifier.head

    def tensors(self) -> State:
        """Return copies of everything that an update changes, by name, on the processor."""
        tensors = {f"live.{name}": value for name, value in self.live.items()}
        tensors |= {f"average.{name}": value for name, value in self.average.sums.items()}
        for index, parameter in enumerate(self._parameters()):
            moments = self.optimiser.state.get(parameter, {})
            tensors |= {f"moment.{index}.{name}": moments[name] for name in _MOMENTS if name in moments}
        return copied(tensors)

    def restore(self, at: Snapshot) -> None:
        """Go to where a snapshot stands."""
        found = by_prefix(at.tensors)
        self.put(found["live"])
        device = self.engine.device
        self.average.sums = {name: value.to(device, copy=True) for name, value in found.get("average", {}).items()}
        self.average.weight = at.average_weight
        self.optimiser.state.clear()
        moments = found.get("moment", {})
        for index, parameter in enumerate(self._parameters()):
            names = [name for name in _MOMENTS if f"{index}.{name}" in moments]
            state = {name: moments[f"{index}.{name}"].to(device, copy=True) for name in names}
            if state:
                self.optimiser.state[parameter] = state

    def put(self, values: State) -> None:
        """Give the network other values of what training changes."""
        with torch.no_grad():
            for name, value in values.items():
                self.live[name].copy_(value)

    def gradient(self, rows: Tensor, at: Snapshot, seed: int) -> float:
        """Compute the clipped gradient of a batch, the same in every process; return its mean loss, nats.

        Args:
            rows: of the batch, int64 (n,).
            at: where the run stands.
            seed: of variation and dropout.

        Raises:
            ExplodedError: loss or gradient did.
            ShortOfMemoryError: a part did not fit.
        """
        ranks, train_set = self.engine.ranks, self.problem.train
        part, counted = filled_share(len(rows), ranks.rank, ranks.size)
        purpose = f"{self.step.name} {at.epoch} {at.batch}"
        turn = turns(self.problem.balance, rows, at.epoch, at.batch)
        inputs = train_set.varied(rows, turn, generator(seed, f"variation {purpose}"), part)
        labels = train_set.labels[rows[part]].to(inputs.device, non_blocking=True)
        self.optimiser.zero_grad(set_to_none=True)
        own = f"dropout {purpose} of {ranks.rank}" if ranks.rank else f"dropout {purpose}"
        with global_randomness(seed, own, inputs.device):
            found = self._agreed(inputs, labels, len(rows), counted, at)
        parameters = self._parameters()
        ranks.add([found, *(parameter.grad for parameter in parameters if parameter.grad is not None)])
        for parameter, anchor in self.anchors:
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - anchor, alpha=self.budget.anchor)
        norm = nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
        loss, n_exploded, reached = torch.cat((found, norm.double().view(1))).tolist()  # a GPU is waited for once
        require_sane(math.nan if n_exploded else loss, "loss")
        require_sane(reached, "gradient")
        return float(loss)

    def _agreed(self, inputs: Tensor, labels: Tensor, n_rows: int, counted: float, at: Snapshot) -> Tensor:
        """Add the gradients of this process's rows, unless one of the processes is short of memory.

        Returns:
            What `_add_gradients` does.
        """
        ranks, found, failure = self.engine.ranks, None, FINE
        sharing: AbstractContextManager[object] = SharedNorms(ranks, counted) if ranks.size > 1 else nullcontext()
        try:
            with sharing:
                found = self._add_gradients(inputs, labels, n_rows, counted, at)
        except OtherRankFailedError:
            raise ShortOfMemoryError from None
        except (RuntimeError, MemoryError) as error:
            if not is_memory_shortage(error):
                raise
            failure = SHORT_OF_MEMORY
        # Asked here, where nothing of the part that did not fit is held any more.
        if ranks.worst(failure) != FINE or found is None:
            raise ShortOfMemoryError
        return found

    def move(self, update: int, rate_scale: float) -> None:
        """Take the step along the gradient, and count the weights it leads to.

        Args:
            update: 0-based, of the run.
            rate_scale: what rescues left of the rates.
        """
        factor = rate_scale * warm_up_cosine(update, self.n_updates)
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        self.optimiser.step()
        self.average.update({name: value.detach() for name, value in self.live.items() if value.is_floating_point()})

    def _add_gradients(self, inputs: Tensor, labels: Tensor, n_rows: int, counted: float, at: Snapshot) -> Tensor:
        """Add the gradients of rows of a batch, a part that fits into memory at a time.

        Args:
            inputs: float32 (n, ...), this process's rows.
            labels: int64 (n,).
            n_rows: of the whole batch.
            counted: what the rows count, 1 or 0.
            at: where the run stands.

        Returns:
            float64 (2,): the share of the batch's mean loss, nats, and how many parts' losses exploded.
        """
        size = self.engine.ranks.size
        most = -(-n_rows // size)  # of any process, so that all make as many parts
        at_once = at.at_once or most
        n_parts = n_batches(most, at_once) if size == 1 else -(-most // at_once)  # norms see the others' rows as well
        parts = inputs.tensor_split(n_parts)
        penalty, pulls = self._shrinkage(parts)
        found = torch.zeros(2, dtype=torch.float64, device=inputs.device)
        for part, wanted, pull in zip(parts, labels.tensor_split(n_parts), pulls, strict=True):
            logits, added = self._answered(part, pull)
            loss = loss_of(self.problem.balance, logits, wanted, self.budget.label_smoothing)
            weight = counted * (len(part) / n_rows)
            (loss * weight + added).backward()
            wide = loss.detach().double() + (penalty if pull is not None else added.detach())
            exploded = ~(wide <= self._bound(at.first_loss, logits.shape[1])) | ~wide.isfinite()
            found += torch.stack((wide * weight, exploded.double()))
        return found

    def _shrinkage(self, parts: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor | None]]:
        """Return the penalty on the features of all parts together, and for each part its gradient by them.

        Nothing of either is needed where the batch goes through the network at once: None stands for the gradient.
        Of several parts the features are made twice, the first time to be held beside one another: with the same
        dropout and by the same kernels (which differ where no gradient is asked for), and no statistic counts it.

        Source: gradient caching, Gao et al. 2021, arXiv:2101.06983, section 3.2.
        """
        if not self.budget.bss or len(parts) == 1:
            return torch.zeros((), device=parts[0].device), [None] * len(parts)
        statistics = {name: value.clone() for name, value in self.live.items() if not value.requires_grad}
        try:
            with drawn_ahead(parts[0].device), features_seen(self.head) as seen:
                features = [self._features_of(part, seen) for part in parts]
        finally:
            self.put(statistics)
        penalty, pull = penalty_and_gradient(torch.cat(features))
        return self.budget.bss * penalty, (self.budget.bss * pull).split([len(part) for part in parts])

    def _features_of(self, part: Tensor, seen: list[Tensor]) -> Tensor:
        """Return the features, float32 (n, D), that inputs have at the head, without what led to them."""
        with self.engine.precision():
            self._forward(part)
        return seen.pop().detach().float()

    def _answered(self, part: Tensor, pull: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the logits, float32 (n, C), of inputs that go through the network at once, and what their loss lacks.

        Args:
            part: float32 (n, ...).
            pull: gradient (n, D) of the penalty on the batch; None where the part is the batch, or nothing is shrunk.
        """
        if not self.budget.bss:
            with self.engine.precision():
                return self._forward(part).float(), torch.zeros((), device=part.device)
        with features_seen(self.head) as seen, self.engine.precision():
            logits = self._forward(part)
        features = seen[-1].float()
        return logits.float(), self.budget.bss * spectral_penalty(features) if pull is None else (features * pull).sum()

    def _bound(self, first_loss: float | None, n_classes: int) -> float:
        guessing = largest_weight(self.problem.balance) * math.log(n_classes)
        return math.inf if first_loss is None else _EXPLODED * max(1.0, guessing, first_loss)

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]


def require_sane(value: float, what: str) -> None:
    """Refuse a quantity that is not finite.

    Raises:
        ExplodedError: it is.
    """
    if not math.isfinite(value):
        raise ExplodedError(what)


def _anchors(classifier: Classifier) -> list[tuple[nn.Parameter, Tensor]]:
    """Return the trunk's trained weights with copies of their values."""
    return [
        (parameter, parameter.detach().clone())
        for name, parameter in classifier.named_parameters()
        if parameter.requires_grad and not name.startswith(f"{HEAD}.")
    ]
