"""Count the operations of a network, and find the shapes of its values, without computing any of them.

The formulas are those of PyTorch's own counter, whose import alone costs seconds.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from transfer.backbones.modes import evaluating

_ATEN = torch.ops.aten
_COUNTED: dict[Any, Callable[..., int]] = {
    _ATEN.convolution: lambda made, args: 2 * made.numel() * args[1][0].numel(),
    _ATEN.mm: lambda made, args: 2 * made.numel() * args[0].shape[-1],
    _ATEN.bmm: lambda made, args: 2 * made.numel() * args[0].shape[-1],
    _ATEN.addmm: lambda made, args: 2 * made.numel() * args[1].shape[-1],
    _ATEN.baddbmm: lambda made, args: 2 * made.numel() * args[1].shape[-1],
}


class _Counter(TorchDispatchMode):
    """Adds up the floating point operations of convolutions and matrix products while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        counted = _COUNTED.get(func.overloadpacket)
        if counted is not None:
            self.total += counted(made, args)
        return made


def shapes_of(network: nn.Module, *inputs: Tensor) -> Any:
    """Return what a network makes of inputs in evaluation mode: tensors without values, of the right shapes and types.

    Args:
        network: any; no weight of it is read or copied.
        inputs: whose shapes and types count.
    """
    values = (*network.named_parameters(), *network.named_buffers())  # a state dict leaves some buffers out
    weightless = {name: torch.empty_like(value, device="meta") for name, value in values}
    with evaluating(network), torch.no_grad():
        return functional_call(network, weightless, tuple(one.to("meta") for one in inputs))


def n_operations(network: nn.Module, *inputs: Tensor) -> int:
    """Return the floating point operations of a forward pass: a multiplication and an addition count two.

    Args:
        network: any.
        inputs: see `shapes_of`.
    """
    counter = _Counter()
    with counter:
        shapes_of(network, *inputs)
    return counter.total
