"""Where and how updates are computed: the device, its precision, compiled or not, the processes that share the work.

On a GPU convolutions and matrix products run under autocast to bfloat16, weights and activations channels last; the
weights themselves, losses, norms, the optimiser and all of validation stay in float32. What is decided on validation is
decided about the network that is served.

Source: Micikevicius et al. 2018, "Mixed precision training", arXiv:1710.03740, section 3.1; bfloat16 needs no scaling
of the loss: Kalamkar et al. 2019, arXiv:1905.12322.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from transfer.finetuning.parallel import ALONE, Ranks

COMPILES_FROM_S = 300.0  # compiling takes about a minute and saves about a fifth of an update, so less would not pay

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Engine:
    """Where and how updates are computed.

    Args:
        device: of the network and its batches.
        ranks: the processes that share every batch.
        bfloat16: whether updates run under autocast.
        compiled: whether updates run a compiled network.
        say: told when something asked for cannot be had.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    ranks: Ranks = ALONE
    bfloat16: bool = False
    compiled: bool = False
    say: Callable[[str], None] = field(default=lambda _: None)

    def placed(self, classifier: nn.Module) -> None:
        """Move a classifier to the device, in place; on a GPU its kernels lie channels last."""
        classifier.to(self.device)
        if self.device.type == "cuda":
            classifier.to(memory_format=torch.channels_last)

    def taken_back(self, classifier: nn.Module) -> None:
        """Move a classifier to the processor, its weights laid out as they were made."""
        if self.device.type != "cpu":
            classifier.to("cpu")
            classifier.to(memory_format=torch.contiguous_format)

    def precision(self) -> AbstractContextManager[object]:
        """Return the autocast that the forward pass of an update runs in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def forward(self, network: nn.Module) -> Forward:
        """Return what runs a network in updates."""
        return _Compiled(network, self.say) if self.compiled else network


def pays_to_compile(engine: Engine, seconds: float, *, shares_norms: bool) -> bool:
    """Say whether to compile a network for updates that were measured to take so many seconds.

    Args:
        engine: not compiled; only on a GPU does compiling help training.
        seconds: of all updates of a step.
        shares_norms: whether batch norms exchange statistics within a pass, which cannot be compiled.
    """
    exchanges = shares_norms and engine.ranks.size > 1
    return engine.device.type == "cuda" and seconds >= COMPILES_FROM_S and not exchanges


class _Compiled:
    """A compiled network that goes on uncompiled, and says so, where the compiler gives up."""

    def __init__(self, network: nn.Module, say: Callable[[str], None]) -> None:
        self._network, self._say = network, say
        self._compiled: Forward | None = torch.compile(network)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return what the network makes of inputs."""
        if self._compiled is not None:
            try:
                return self._compiled(inputs)
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # noqa: BLE001  a compiler gives up with exceptions of every kind
                self._compiled = None
                reason = (str(error).strip() or "no reason given").splitlines()[0]
                self._say(f"Updates run uncompiled: {type(error).__name__}: {reason}")
        made: Tensor = self._network(inputs)
        return made
