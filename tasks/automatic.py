"""What `auto` stands for in the parameters of fine-tuning: where a search begins, and which rates it is about."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.params_blocks import FinetuneParams

if TYPE_CHECKING:
    from transfer.finetuning.plan import Step

AUTO = "auto"
BASE_RATE = 0.0001  # the rates tried are multiples of it


def base_rate(rate: float | str) -> float:
    """Return a learning rate as the user wrote it, or the one that a search begins from in place of `auto`."""
    return BASE_RATE if isinstance(rate, str) else rate


def with_searches(steps: "Sequence[Step]", settings: FinetuneParams) -> "tuple[Step, ...]":
    """Return steps that say which of their rates are to be found.

    Args:
        steps: made with `base_rate`.
        settings: as the user wrote them.
    """
    from transfer.finetuning.freezing import HEAD

    def is_sought(name: str) -> bool:
        return (settings.head_lr if name == HEAD else settings.backbone_lr) == AUTO

    return tuple(replace(step, searched=tuple(name for name in step.rates if is_sought(name))) for step in steps)


def first_batch_size(settings: FinetuneParams, n_train: int) -> int:
    """Return the images of an update: those asked for, or the most there should be, which memory may make fewer."""
    from transfer.finetuning.budget import batch_sizes

    return settings.batch_size if isinstance(settings.batch_size, int) else batch_sizes(n_train)[-1]


def fewest_images() -> int:
    """Return the images of an update, at least, where their number is to be found."""
    from transfer.finetuning.budget import batch_sizes

    return batch_sizes(1)[0]


def fitting_batch_size(settings: FinetuneParams, tried: int, at_once: int) -> int:
    """Return the images of an update: those that were tried, or where they are to be found as many as fit at once.

    Args:
        settings: the stage's parameters.
        tried: images of the update that was made.
        at_once: how many of them went through the network at once.
    """
    from transfer.finetuning.budget import batch_sizes

    if settings.batch_size != AUTO or at_once >= tried:
        return tried
    return max((size for size in batch_sizes(8 * tried) if size <= at_once), default=fewest_images())
