"""SFDA: how sure a discriminant analysis is of the labels after doubtful rows were moved towards the other classes.

Source: Shao et al. 2022, Not All Models Are Equal: Predicting Model Transferability in a Self-challenging Fisher Space,
arXiv:2207.03036: self-challenging by ConfMix; the mean of probabilities, without a logarithm, is the authors' code's.
"""

from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.lda import class_means, posterior, shrinkage_of, within_scatter


def sfda(decomposition: Decomposition) -> float:
    """Return the mean probability of the right class in the self-challenging Fisher space, in (0, 1]; higher is better.

    It depends on the scale of the features, see `shrinkage_of`. The features are left as they are; the authors' code
    changes them in place.

    Costs O(N k^2) after the decomposition, k = min(N, D).

    Args:
        decomposition: of the rows.
    """
    targets = decomposition.targets
    rows = decomposition.leading()[0]
    scatter = within_scatter(decomposition)
    shrinkage = shrinkage_of(scatter, decomposition)
    first = posterior(rows, targets, scatter, shrinkage, decomposition.width)
    sure = (first.softmax(1) * targets).sum(1, keepdim=True)  # shares are softened by a second softmax, as published
    means = class_means(rows, targets)
    others = (means.sum(0) - means) / (len(means) - 1)
    mixed = sure * rows + (1 - sure) * (targets @ others)
    within = mixed - targets @ class_means(mixed, targets)
    second = posterior(mixed, targets, within.T @ within / len(rows), shrinkage, decomposition.width)
    return float((second * targets).sum(1).mean())
