"""ETran: how well a discriminant analysis knows the labels, and how high the energy of the least fitting rows is.

Source: Gholami et al. 2023, ETran: Energy-Based Transferability Estimation, arXiv:2308.02027: the energy
and the classification score, with the weights of the authors' notebook.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.lda import posterior, shrinkage_of, within_scatter
from transfer.selection.scores.pool import relative

_PERMILLE = 5
_CLASSIFICATION_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class EnergyParts:
    """What a candidate's ETran score is made of.

    Args:
        classification: mean probability of the right class by a discriminant analysis, in (0, 1]; higher is better.
        energy: mean log-sum-exp of the features of the rows where it is lowest; higher is better.
    """

    classification: float
    energy: float


def energy_parts(decomposition: Decomposition) -> EnergyParts:
    """Measure a candidate for `etran`.

    The paper's analysis is that of `transfer.selection.scores.lda`. The authors' code hands a matrix that is not
    symmetric to a solver for symmetric ones; what it computes is the posterior of Gaussians with covariance 1.

    Costs O(k^3 + N k C + N D) after the decomposition, k = min(N, D).

    Args:
        decomposition: of the rows.
    """
    targets = decomposition.targets
    scatter = within_scatter(decomposition)
    shrinkage = shrinkage_of(scatter, decomposition)
    probabilities = posterior(decomposition.leading()[0], targets, scatter, shrinkage, decomposition.width)
    features = decomposition.centred + decomposition.mean
    return EnergyParts(float((probabilities * targets).sum(1).mean()), energy(features))


def energy(features: Tensor) -> float:
    """Return the mean log-sum-exp of the 0.5 % of rows, at least one, where it is lowest; higher is better.

    Args:
        features: float (N, D), N at least 1.
    """
    values = features.double().logsumexp(1)
    n_lowest = max(1, _PERMILLE * len(values) // 1000)
    return float(values.topk(n_lowest, largest=False).values.mean())


def etran(pool: Sequence[EnergyParts]) -> tuple[float, ...]:
    """Return the score of each candidate of a pool, in [0, 1]; higher is better.

    Relative to the pool, see `transfer.selection.scores.pool`.

    Args:
        pool: what `energy_parts` returned for each candidate, on the same rows.
    """
    classification = relative([parts.classification for parts in pool])
    energies = relative([parts.energy for parts in pool])
    share = _CLASSIFICATION_SHARE
    return tuple(share * c + (1 - share) * e for c, e in zip(classification, energies, strict=True))
