"""Prepared examples with their labels."""

from dataclasses import dataclass, field

from torch import Tensor

from transfer.records import ClassBalance


@dataclass(frozen=True)
class Examples:
    """Examples as a backbone's preprocessing made them.

    Args:
        inputs: uint8 (N, C, H, W).
        labels: int64 (N,).
        keys: a text a row that tells its content from any other, the sha256 of the file; numbers when not given.
    """

    inputs: Tensor
    labels: Tensor
    keys: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Number the rows that have no keys."""
        if not self.keys:
            object.__setattr__(self, "keys", tuple(str(index) for index in range(len(self.labels))))

    def __len__(self) -> int:
        """Return N."""
        return len(self.labels)


@dataclass(frozen=True)
class Target:
    """What a backbone is transferred to.

    Args:
        train: rows to learn from.
        val: rows to decide by.
        n_classes: at least 2.
        balance: how unequal the classes of `train` are, and what is done about it.
    """

    train: Examples
    val: Examples
    n_classes: int
    balance: ClassBalance = field(default_factory=ClassBalance)
