"""Averages of weights: along the path of training, and between where it began and where it ended."""

from collections.abc import Mapping

import torch
from torch import Tensor

_LONGEST = 1000.0
_SHARE = 0.1

BLENDS: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)


class MovingAverage:
    """The exponential moving average of weights, corrected for its start.

    Its memory is a tenth of the updates to come, at most 1,000 of them, so that short training is not averaged with its
    own beginning.

    Source: Polyak and Juditsky 1992, SIAM J. Control Optim. 30(4):838-855; the correction is that of Kingma and Ba
    2015, "Adam", arXiv:1412.6980, section 3.
    """

    def __init__(self, n_updates: int) -> None:
        self.decay = 1.0 - 1.0 / min(_LONGEST, max(1.0, _SHARE * n_updates))
        self.sums: dict[str, Tensor] = {}
        self.weight = 0.0

    def update(self, weights: Mapping[str, Tensor]) -> None:
        """Count the weights of one more update."""
        for name, value in weights.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value)
            self.sums[name].mul_(self.decay).add_(value, alpha=1.0 - self.decay)
        self.weight = self.decay * self.weight + 1.0 - self.decay

    def values(self) -> dict[str, Tensor]:
        """Return the average; empty before the first update."""
        return {name: value / self.weight for name, value in self.sums.items()}


def blended(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return weights between two of the same network.

    Args:
        start: by name; what is no floating point number is taken from `end`.
        end: by name, of the same shapes.
        share: 0 gives `start`, 1 gives `end`, bit for bit.

    Source: WiSE-FT, Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv:2109.01903.
    """
    if share in (0.0, 1.0):
        return dict(end if share else start)
    return {
        name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
        for name, value in end.items()
    }
