"""Tell a lack of memory from other errors."""

import torch


class ShortOfMemoryError(Exception):
    """An update did not fit."""


def is_memory_shortage(error: Exception) -> bool:
    """Say whether an error means that memory ran out, on the processor or on a GPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
