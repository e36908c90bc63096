"""Whether maps show what a network has learned: they must change when its weights are replaced by random ones.

A map that looks the same on a network that knows nothing shows the image (its edges, its middle), not the answer.

Source: Adebayo et al. 2018, "Sanity checks for saliency maps", arXiv:1810.03292, section 3: the model parameter
randomization test, similarity by Spearman's rank correlation. Statistics of batch norms follow the random weights, as
in Ioffe and Szegedy 2015, arXiv:1502.03167, so that the random network is a working one.
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from statistics import fmean, variance

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from transfer.backbones.backbone import Classifier
from transfer.records import Interval

# Half: maps that agree more share over a quarter of what orders their places, whatever the network knows. On
# planted cues, maps that pass are at 0.0 to 0.1, integrated gradients at 0.34 to 0.69 and an edge detector at 1
# (docs/explanations.md).
THRESHOLD = 0.5
_SIDE = 28  # places a side that maps are compared at, at most
_CONFIDENCE = 0.95

Explain = Callable[[Classifier], Tensor]


@dataclass(frozen=True, slots=True)
class Sanity:
    """What became of maps when the weights became random.

    Args:
        similarity: mean over images and random networks, with an interval over both, in [-1, 1]; None where no map says
            anything, so that there is nothing to compare.
        of_images: the mean over random networks for every image; None where its map is the same everywhere.
        n_networks: random networks.
    """

    similarity: Interval | None
    of_images: tuple[float | None, ...]
    n_networks: int

    @property
    def passed(self) -> bool:
        """Say whether the maps surely depend on what was learned."""
        return self.similarity is not None and self.similarity.high < THRESHOLD

    @property
    def share_passed(self) -> float | None:
        """Return the share of images whose own map is below the threshold; None where no map says anything."""
        known = [one for one in self.of_images if one is not None]
        return sum(one < THRESHOLD for one in known) / len(known) if known else None

    @property
    def sentence(self) -> str:
        """Return the outcome in words."""
        if self.similarity is None:
            return "No map says anything, so that there is nothing to compare; do not rely on them."
        found = self.similarity
        figures = f"{found.value:.2f}, {100 * _CONFIDENCE:.0f} % interval {found.low:.2f} to {found.high:.2f}"
        if self.passed:
            return (
                f"With random weights the maps become others (rank correlation {figures}): they depend on what was "
                f"learned."
            )
        how = "stay alike" if found.low >= THRESHOLD else "may stay alike"
        return (
            f"With random weights the maps {how} (rank correlation {figures}; below {THRESHOLD:g} was to be shown): "
            f"they may show the image rather than what was learned; do not rely on them."
        )


def checked(
    classifier: Classifier, explain: Explain, images: Tensor, n_networks: int, generator: torch.Generator
) -> Sanity:
    """Compare maps with those of networks with random weights.

    Args:
        classifier: left as it is.
        explain: makes maps (N, S, S) of the images by any network of the architecture.
        images: float (N, 3, S, S), normalised, N at least 1.
        n_networks: random networks, at least 1.
        generator: of their weights.
    """
    own = explain(classifier)
    drawn = [similarity(own, explain(randomised(classifier, images, generator))) for _ in range(n_networks)]
    return _summed_up(drawn)


def _summed_up(drawn: Sequence[Sequence[float | None]]) -> Sanity:
    of_images = [_mean(column) for column in zip(*drawn, strict=True)]
    of_networks = [_mean(row) for row in drawn]
    known, by_network = ([one for one in means if one is not None] for means in (of_images, of_networks))
    found = None if not known else _crossed(known, by_network)
    return Sanity(found, tuple(of_images), len(drawn))


def _crossed(of_images: Sequence[float], of_networks: Sequence[float]) -> Interval:
    """Return a mean with its interval where both images and networks are drawn: their variances add up.

    Source: Satterthwaite 1946, An Approximate Distribution of Estimates of Variance Components, Biometrics 2(6).
    """
    from scipy.special import stdtrit

    mean, parts = (
        fmean(of_images),
        [(variance(one) / len(one), len(one) - 1) for one in (of_images, of_networks) if len(one) > 1],
    )
    total = sum(part for part, _ in parts)
    if len(parts) < 2:  # of one alone nobody knows how others would be
        return Interval(mean, -1.0, 1.0)
    if total == 0:
        return Interval(mean, mean, mean)
    freedom = total**2 / sum(part**2 / free for part, free in parts)
    half = float(stdtrit(freedom, 0.5 + _CONFIDENCE / 2)) * math.sqrt(total)
    return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def randomised(classifier: Classifier, images: Tensor, generator: torch.Generator) -> Classifier:
    """Return a copy of a classifier whose weights are shuffled, each tensor within itself.

    The values are those that training ended with and only their order is lost, so that the copy differs from the
    original in what it knows and not in its scale; a head that counts votes holds no weights and stays as it is.

    Args:
        classifier: left as it is.
        images: float (N, 3, S, S), normalised; the statistics of batch norms become those of them.
        generator: of the order.
    """
    copy = deepcopy(classifier).eval()
    with torch.no_grad():
        for parameter in copy.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order.to(parameter.device)].view_as(parameter))
        norms = [module for module in copy.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches, which is the one
            norm.train(len(images) > 1)
        copy.backbone(images)
    return copy.eval()


def similarity(first: Tensor, second: Tensor) -> tuple[float | None, ...]:
    """Return Spearman's rank correlation of every pair of maps; None where one of them is the same everywhere.

    Args:
        first: float (N, S, S).
        second: float (N, S, S).

    Returns:
        N values in [-1, 1].
    """
    found: list[float | None] = []
    for one, other in zip(_coarse(first), _coarse(second), strict=True):
        ranks = [_ranks(values) - (values.size + 1) / 2 for values in (one, other)]
        scale = math.sqrt(float((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
        found.append(float((ranks[0] * ranks[1]).sum() / scale) if scale > 0 else None)
    return tuple(found)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1 on; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _coarse(maps: Tensor) -> NDArray[np.float64]:
    """Return maps at few places, (N, places); values that differ by rounding alone are made equal."""
    side = min(_SIDE, maps.shape[-1])
    pooled = functional.adaptive_avg_pool2d(maps[:, None].double(), side).flatten(1)
    scale = pooled.abs().amax(1, keepdim=True).clamp(min=1e-30)
    return np.round((pooled / scale).cpu().numpy(), 6)
