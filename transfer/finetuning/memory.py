"""Tell a lack of memory from other errors."""

import torch

# What torch says on a processor, and what its libraries say on a GPU when they get none for themselves.
_SHORTAGES = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUDA out of memory")


class ShortOfMemoryError(Exception):
    """An update did not fit."""


def is_memory_shortage(error: Exception) -> bool:
    """Say whether an error means that memory ran out, on the processor or on a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _SHORTAGES)
