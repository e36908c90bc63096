"""Where a run of the training loop stands, as plain numbers and named tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from transfer.finetuning.states import State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a run stands between two updates.

    Args:
        epoch: 1-based.
        batch: 0-based, the next one of the epoch.
        loss_sum: training loss of the epoch so far, summed over its images, nats.
        first_loss: training loss of the run's first batch, nats; None before it.
        rate_scale: what rescues left of the learning rates, in (0, 1].
        rescues: how many there were.
        at_once: images that go through the network at once, what memory left of them; a whole batch when None.
        average_weight: of the moving average's sums, in [0, 1).
        best_epoch: the one with the lowest validation NLL; 0 before the first.
        progress_epoch: the last one below all before it and below what is to be beaten; 0 before the first.
        best_nll: that NLL, nats; None before the first.
        tensors: weights and statistics that training changes, their moving sums, the optimiser's moments, the best.
    """

    epoch: int = 1
    batch: int = 0
    loss_sum: float = 0.0
    first_loss: float | None = None
    rate_scale: float = 1.0
    rescues: int = 0
    at_once: int | None = None
    average_weight: float = 0.0
    best_epoch: int = 0
    progress_epoch: int = 0
    best_nll: float | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def by_prefix(tensors: Mapping[str, Tensor]) -> dict[str, State]:
    """Return the tensors of a snapshot by the word before the first dot of their names."""
    found: dict[str, State] = {}
    for name, value in tensors.items():
        prefix, _, rest = name.partition(".")
        found.setdefault(prefix, {})[rest] = value
    return found
