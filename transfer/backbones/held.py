"""What autograd holds between a forward and a backward pass."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def counting_held(own: Iterable[Tensor]) -> Iterator[dict[int, int]]:
    """Yield what autograd holds while it is active: address -> bytes, filled as it happens.

    Args:
        own: values that are there anyway, a network's own: what shares memory with them is not counted.
    """
    there = {value.untyped_storage().data_ptr() for value in own}
    held: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in there:
            held[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        yield held
