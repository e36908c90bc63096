"""Batch norms in training whose statistics are those of the whole batch, wherever its rows are.

torch's own SyncBatchNorm runs on GPUs alone; this runs everywhere, and agrees with one process on all rows but for
rounding.

Source: Ioffe and Szegedy 2015, arXiv:1502.03167, section 3 (forward and backward); the combination of means and sums of
squares is that of Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
variances", equation 2.1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from transfer.finetuning.parallel import Ranks

FINE, SHORT_OF_MEMORY = 0, 1


class OtherRankFailedError(Exception):
    """Another process could not make the update; all of them know it now."""


class SharedNorms(TorchFunctionMode):
    """While it is active, batch norms in training share their statistics over processes.

    Before each exchange the processes say whether they are well, so that one that could not go on takes none of the
    others into an exchange that never ends.

    Args:
        ranks: the processes.
        weight: what this process's rows count, 1 or 0.
    """

    def __init__(self, ranks: Ranks, weight: float) -> None:
        super().__init__()
        self.ranks, self.weight = ranks, weight

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Answer a batch norm in training; pass everything else on."""
        given = dict(kwargs or {})
        if func is functional.batch_norm and given.get("training", args[5] if len(args) > 5 else False):
            return self._normalised(*args, **given)
        return func(*args, **given)

    def _normalised(
        self,
        inputs: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = True,  # noqa: ARG002  the signature is torch's
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        made: Tensor
        made, mean, var, count = _Normalised.apply(inputs, weight, bias, eps, self.ranks, self.weight)
        with torch.no_grad():
            if running_mean is not None:
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            if running_var is not None:
                running_var.lerp_((var * (count / (count - 1).clamp_min(1))).to(running_var.dtype), momentum)
        return made


class _Normalised(torch.autograd.Function):
    """Normalise by the statistics of all rows; pass on the gradient through them."""

    @staticmethod
    def forward(
        context: Any,
        inputs: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        ranks: Ranks,
        counted: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return normalised rows, mean and variance (C,) of all rows, float32, and the number of values a channel."""
        rest = [axis for axis in range(inputs.dim()) if axis != 1]
        wide = inputs.float()
        count = counted * (inputs.numel() // inputs.shape[1])
        own_var, own_mean = torch.var_mean(wide, rest, correction=0)
        table = wide.new_zeros(ranks.size, 2, len(own_mean))
        counts = wide.new_zeros(ranks.size)
        table[ranks.rank, 0], table[ranks.rank, 1], counts[ranks.rank] = own_mean, own_var, count
        _exchange(ranks, [table, counts])
        shares = (counts / counts.sum()).view(-1, 1)
        mean = (shares * table[:, 0]).sum(0)
        var = (shares * (table[:, 1] + (table[:, 0] - mean).square())).sum(0)
        context.save_for_backward(inputs, weight, mean, (var + eps).rsqrt())
        context.count, context.ranks, context.counted = counts.sum(), ranks, counted
        context.mark_non_differentiable(mean, var, context.count)
        made = functional.batch_norm(wide, mean, var, weight, bias, training=False, eps=eps)
        return made.to(inputs.dtype), mean, var, context.count

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of rows, weight and bias; those of weight and bias are this process's share."""
        inputs, weight, mean, scale = context.saved_tensors
        rest = [axis for axis in range(inputs.dim()) if axis != 1]
        shape = [1, -1, *[1] * (inputs.dim() - 2)]
        wide, centred = gradient.float(), (inputs.float() - mean.view(shape)) * scale.view(shape)
        own_sum, own_product = wide.sum(rest), (wide * centred).sum(rest)
        sums = torch.stack((own_sum, own_product))
        _exchange(context.ranks, [sums])
        sums = sums / context.count
        made = wide - sums[0].view(shape) - centred * sums[1].view(shape)
        made = made * (scale if weight is None else scale * weight).view(shape) * context.counted
        return (
            made.to(inputs.dtype),
            own_product if context.needs_input_grad[1] else None,
            own_sum if context.needs_input_grad[2] else None,
            None,
            None,
            None,
        )


def _exchange(ranks: Ranks, tensors: Sequence[Tensor]) -> None:
    if ranks.worst(FINE) != FINE:
        raise OtherRankFailedError
    ranks.add(tensors)
