"""NCTI: how near the features are to neural collapse, compared with the other candidates.

Source: Wang et al. 2023, How Far Pre-trained Models Are from Neural Collapse on the Target Dataset Informs their
Transferability, ICCV: the three terms and their sum; the regularisation is that of the authors' code.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.pool import relative

_DIRECTIONS, _REGULARISING_DIRECTIONS = 64, 32
_LEAST = 1e-10


@dataclass(frozen=True, slots=True)
class CollapseParts:
    """What a candidate's distance from neural collapse is made of; the numbers say little by themselves.

    Args:
        spread: nuclear norm of all rows in the discriminant space, centred; higher is better.
        nearest: mean probability of the right class there, in (0, 1]; higher is better.
        variability: logarithm of the sum of the nuclear norms of each class's probabilities; lower is better.
    """

    spread: float
    nearest: float
    variability: float


def collapse_parts(decomposition: Decomposition) -> CollapseParts:
    """Measure a candidate for `ncti`, in the discriminant space of the 64 strongest principal directions.

    The published code approximates the directions where N or D is above 500, so that it gives other numbers each time.

    Costs O(N d^2 + d^3) after the decomposition, d at most 64.

    Args:
        decomposition: of the rows.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    targets = decomposition.targets
    # Directions without power are kept: the identity's share of the scatter is spread over them, too.
    components = decomposition.principal.components[:, -_DIRECTIONS:]
    power = decomposition.principal.power[-_DIRECTIONS:]
    if not decomposition.rank:  # nothing varies: one point, and the shares of the classes
        shares = targets.mean(0)
        norms = (targets.sum(0).sqrt() * shares.norm()).sum()
        return CollapseParts(0.0, float(shares.square().sum()), math.log(float(norms)))
    variances = power.flip(0) / (decomposition.n_rows - 1)
    shrinkage = max(math.exp(-float(variances[:_REGULARISING_DIRECTIONS].sum())), _LEAST)
    solver = {"solver": "svd"} if shrinkage == _LEAST else {"solver": "eigen", "shrinkage": shrinkage}
    rows, places = components.flip(1).numpy(), targets.argmax(1).numpy()
    analysis = LinearDiscriminantAnalysis(**solver).fit(rows, places)
    projected = torch.from_numpy(analysis.transform(rows))
    probabilities = torch.from_numpy(analysis.predict_proba(rows))
    norms = sum(_nuclear_norm(probabilities[of_class]) for of_class in targets.T.bool())
    return CollapseParts(
        _nuclear_norm(projected - projected.mean(0)),
        float((probabilities * targets).sum(1).mean()),
        math.log(norms),
    )


def ncti(pool: Sequence[CollapseParts]) -> tuple[float, ...]:
    """Return the score of each candidate of a pool, in [-1, 2]; higher is better.

    Relative to the pool, see `transfer.selection.scores.pool`.

    Args:
        pool: what `collapse_parts` returned for each candidate, on the same rows.
    """
    spread = relative([parts.spread for parts in pool])
    nearest = relative([parts.nearest for parts in pool])
    variability = relative([parts.variability for parts in pool])
    return tuple(s + n - v for s, n, v in zip(spread, nearest, variability, strict=True))


def _nuclear_norm(rows: Tensor) -> float:
    return float(torch.linalg.svdvals(rows).sum())
