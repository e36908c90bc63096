"""Processes that make every update together: which rows are whose, sums over all, and one process's word for all.

The gradient of a batch is the sum over the processes of the gradients of their rows, each weighted by its share of the
batch; with that, what an update does is the same for any number of processes but for rounding.

Source: Goyal et al. 2017, "Accurate, large minibatch SGD", arXiv:1706.02677, section 2.3; the flattened buckets are
those of Li et al. 2020, "PyTorch Distributed", arXiv:2006.15704, section 3.2.3.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from transfer.errors import EnvironmentFault

_BUCKET_BYTES = 25_000_000

Told = tuple[dict[str, Tensor], str]


class LostRankError(EnvironmentFault):
    """Another process of the run ended before the work was done."""


class Ranks(Protocol):
    """The processes of a run, seen from one of them."""

    @property
    def rank(self) -> int:
        """Return the number of this process; number 0 alone writes."""
        ...

    @property
    def size(self) -> int:
        """Return how many there are."""
        ...

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, which is the same bits in all of them."""
        ...

    def worst(self, word: int) -> int:
        """Return the largest of the numbers that the processes say."""
        ...

    def gathered(self, rows: Tensor, n_rows: int) -> Tensor:
        """Return the rows (n, ...) that each process has of `n_rows`, in the order of `share`, on the processor."""
        ...

    def told(self, tensors: Mapping[str, Tensor], meaning: str = "") -> Told:
        """Return tensors by name and a text as process 0 says them, on the processor; what others say is ignored."""
        ...


class Alone:
    """The only process: nothing is exchanged."""

    rank, size = 0, 1

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Leave the tensors as they are."""

    def worst(self, word: int) -> int:
        """Return the number."""
        return word

    def gathered(self, rows: Tensor, n_rows: int) -> Tensor:  # noqa: ARG002
        """Return the rows."""
        return rows

    def told(self, tensors: Mapping[str, Tensor], meaning: str = "") -> Told:
        """Return what was said."""
        return dict(tensors), meaning


ALONE = Alone()


class Together:
    """Processes that have joined torch's default group; words are exchanged on the processor, sums where tensors are.

    Every method is called by all of them, in the same order.

    Args:
        rank: of this process, in [0, size).
        size: at least 2.

    Raises:
        LostRankError: by every method: another process is gone.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in flattened buckets of one type."""
        for bucket in buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            self._summed(flat)
            for tensor, part in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def worst(self, word: int) -> int:
        """Return the largest of the numbers that the processes say."""
        from torch import distributed

        said = torch.tensor(word)
        with _met():
            distributed.all_reduce(said, distributed.ReduceOp.MAX)
        return int(said)

    def gathered(self, rows: Tensor, n_rows: int) -> Tensor:
        """Return the rows that each process has, in order; they are filled up to one length on the way."""
        from torch import distributed

        longest = -(-n_rows // self.size)
        full = rows.new_zeros((longest, *rows.shape[1:]), device="cpu")
        full[: len(rows)] = rows.detach()
        parts = [torch.empty_like(full) for _ in range(self.size)]
        with _met():
            distributed.all_gather(parts, full)
        sizes = [len(range(n_rows)[share(n_rows, rank, self.size)]) for rank in range(self.size)]
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def told(self, tensors: Mapping[str, Tensor], meaning: str = "") -> Told:
        """Return what process 0 says: a header first, then tensor by tensor."""
        said = {name: value.detach().cpu().contiguous() for name, value in tensors.items()} if self.rank == 0 else {}
        kinds = {name: (str(value.dtype).removeprefix("torch."), list(value.shape)) for name, value in said.items()}
        header = json.dumps([kinds, meaning]).encode() if self.rank == 0 else b""
        length = self._spread(torch.tensor([len(header)]))
        words = torch.frombuffer(bytearray(header), dtype=torch.uint8) if header else None
        found = self._spread(torch.empty(int(length), dtype=torch.uint8) if words is None else words)
        kinds, meaning = json.loads(bytes(found.tolist()))
        values = {
            name: self._spread(said[name] if said else torch.empty(shape, dtype=getattr(torch, dtype)))
            for name, (dtype, shape) in kinds.items()
        }
        return values, meaning

    def _summed(self, flat: Tensor) -> None:
        from torch import distributed

        with _met():
            distributed.all_reduce(flat)

    def _spread(self, value: Tensor) -> Tensor:
        from torch import distributed

        if value.numel():
            with _met():
                distributed.broadcast(value.view(-1).view(torch.uint8), 0)
        return value


@contextmanager
def _met() -> Iterator[None]:
    """Turn what torch raises when another process is gone into `LostRankError`."""
    try:
        yield
    except RuntimeError as error:
        raise LostRankError(f"Another process of the run is gone: {str(error).splitlines()[0]}") from error


def share(n_rows: int, rank: int, size: int) -> slice:
    """Return which of `n_rows` rows are a process's: about as many as anyone's, in the order of the processes."""
    least, more = divmod(n_rows, size)
    first = rank * least + min(rank, more)
    return slice(first, first + least + (rank < more))


def filled_share(n_rows: int, rank: int, size: int) -> tuple[slice, float]:
    """Return the rows that a process computes and what they count: a process without any computes one for nothing.

    So every process runs the same operations and meets the others at each exchange.
    """
    own = share(n_rows, rank, size)
    return (own, 1.0) if own.start < own.stop else (slice(0, 1), 0.0)


def buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return tensors in groups of one type and place, each of at most 25 MB or a single tensor."""
    made: list[list[Tensor]] = []
    room: dict[tuple[torch.dtype, torch.device], int] = {}
    latest: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        kind, n_bytes = (tensor.dtype, tensor.device), tensor.numel() * tensor.element_size()
        if room.get(kind, 0) < n_bytes:
            latest[kind], room[kind] = [], _BUCKET_BYTES
            made.append(latest[kind])
        latest[kind].append(tensor)
        room[kind] -= n_bytes
    return made
