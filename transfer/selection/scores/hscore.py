"""H-score: how much of the features' variance, each direction counting the same, lies between the classes.

Source: Bao et al. 2019, An Information-Theoretic Approach to Transferability in Task Transfer Learning, ICIP,
the definition of the H-score; the shrunk form is that of Ibrahim, Ponomareva and Mazumder 2021, Newer is not always
better, arXiv:2110.06893, with the shrinkage of Ledoit and Wolf 2004, A well-conditioned estimator for large-dimensional
covariance matrices, Journal of Multivariate Analysis 88(2).
"""

from torch import Tensor

from transfer.selection.decomposition import Decomposition


def hscore(decomposition: Decomposition) -> float:
    """Return tr(cov(f)^+ cov(E[f | y])), in [0, C - 1]; higher is better.

    It is the sum of the squared canonical correlations of features and classes. With as many directions as rows, N <= D
    as a rule, it is C - 1 whatever the features are: use `shrunk_hscore` there.

    Costs O(N k C) after the decomposition, k = min(N, D).

    Args:
        decomposition: of the rows.
    """
    components, power = decomposition.leading()
    return float((_between(decomposition, components) / power).sum())


def shrunk_hscore(decomposition: Decomposition) -> float:
    """Return tr(cov_a^-1 (1 - a) cov(E[f | y])) with cov_a = (1 - a) cov + a tr(cov) / D; higher is better.

    At least 0, and at most N / (N - 1) (C - 1): as published, cov_a divides by N and cov(E[f | y]) by N - 1. Features
    without any variance score 0.

    Costs O(N k C) after the decomposition, k = min(N, D).

    Args:
        decomposition: of the rows.
    """
    components, power = decomposition.leading()
    n_rows = decomposition.n_rows
    shrinkage = ledoit_wolf_shrinkage(decomposition)
    diagonal = (1 - shrinkage) * power / n_rows + shrinkage * power.sum() / (n_rows * decomposition.width)
    between = _between(decomposition, components) / (n_rows - 1)
    return float((1 - shrinkage) * (between / diagonal).sum())


def _between(decomposition: Decomposition, components: Tensor) -> Tensor:
    """Return the squares of the class means along directions, each class counting by its rows, float64 (k,)."""
    targets = decomposition.targets
    return ((targets.T @ components).square() / targets.sum(0)[:, None]).sum(0)


def ledoit_wolf_shrinkage(decomposition: Decomposition) -> float:
    """Return the share of the identity in the covariance of least expected squared error, in [0, 1].

    The sum of the squared entries of F'F is that of its squared eigenvalues, which are known.

    Args:
        decomposition: of the rows.
    """
    n_rows, width = decomposition.n_rows, decomposition.width
    power = decomposition.principal.power
    mean = float(power.sum()) / n_rows / width
    squared = float(power.square().sum()) / n_rows**2
    distance = squared / width - mean**2
    if distance <= 0:
        return 0.0
    lengths = decomposition.principal.components.square().sum(1)
    noise = (float(lengths.square().sum()) / n_rows - squared) / (width * n_rows)
    return min(max(noise, 0.0), distance) / distance
