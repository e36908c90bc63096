"""PARC: do rows that differ in their features differ in their labels?

Source: Bolya, Mittapalli and Hoffman 2021, Scalable Diverse Model Selection for Accessible Transfer Learning,
arXiv:2111.06977: pairwise annotation representation comparison.
"""

import torch
from torch import Tensor
from torch.nn import functional

from transfer.errors import UserError
from transfer.selection.decomposition import Decomposition

_DIRECTIONS = 32
_MOST_ROWS = 2000


def parc(decomposition: Decomposition) -> float:
    """Return the rank correlation of feature distances with label distances, in [-1, 1]; higher is better.

    A distance is 1 less the Pearson correlation of two rows, over the 32 strongest principal directions, each
    standardised. A correlation subtracts a row's mean over the directions, so that their signs, which are arbitrary,
    matter: as in the published code, the largest loading of each is positive. That code gives a hundred times this,
    approximates the directions, and ranks pairs of one class by rounding. Of more than 2,000 rows, 2,000 count, spread
    evenly over the classes. Features without any variance score 0.

    Costs O(N D + n^2 log n) after the decomposition, n at most 2,000.

    Args:
        decomposition: of the rows.

    Raises:
        UserError: fewer than two classes among the rows that count, or none with two of them.
    """
    rows, labels = decomposition.leading(_DIRECTIONS)[0], decomposition.labels
    if not rows.shape[1]:
        return 0.0
    loadings = decomposition.centred.T @ rows
    rows = rows * loadings.gather(0, loadings.abs().argmax(0, keepdim=True)).sign()
    if len(rows) > _MOST_ROWS:
        spread = torch.linspace(0, len(rows) - 1, _MOST_ROWS, dtype=torch.float64).round().long()
        picked = labels.argsort(stable=True)[spread]
        rows, labels = rows[picked], labels[picked]
    return distance_correlation(rows, labels)


def distance_correlation(rows: Tensor, labels: Tensor) -> float:
    """Return Spearman's correlation of the distances of rows with those of their labels, in [-1, 1].

    Labels of one class are 0 apart and all others equally far: what is correlated is a rank with a yes or no.

    Args:
        rows: float64 (N, d).
        labels: int64 (N,).

    Raises:
        UserError: all rows are of one class, or none shares its class with another.
    """
    from scipy.stats import rankdata

    first, second = torch.triu_indices(len(rows), len(rows), 1)
    differ = (labels[first] != labels[second]).double()
    if differ.min() == differ.max():
        raise UserError("Rows that are all of one class, or each of its own, have no label distances to compare.")
    scale = rows.std(0, correction=0)
    standard = (rows - rows.mean(0)) / torch.where(scale > 0, scale, 1.0)
    unit = functional.normalize(standard - standard.mean(1, keepdim=True), dim=1)
    distances = 1 - (unit @ unit.T)[first, second]
    ranks = torch.from_numpy(rankdata(distances.numpy()))
    centred, apart = ranks - ranks.mean(), differ - differ.mean()
    lengths = float(centred.norm() * apart.norm())
    return float(centred @ apart) / lengths if lengths > 0 else 0.0
