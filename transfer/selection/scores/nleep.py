"""N-LEEP: LEEP with the components of a mixture of Gaussians on the features in place of source classes.

Source: Li et al. 2021, Ranking Neural Checkpoints, arXiv:2011.11200: N-LEEP.
"""

import warnings

import torch
from torch import Tensor

from transfer.selection.decomposition import Decomposition
from transfer.selection.scores.leep import leep

_KEPT_VARIANCE = 0.8
_COMPONENTS_A_CLASS = 5


def nleep(decomposition: Decomposition, seed: int) -> float:
    """Return the LEEP of the labels given the components of a Gaussian mixture, in nats; higher is better.

    In (-inf, 0]. The mixture has five components a class, at most one a row, with full covariances, on the principal
    directions that hold 80 % of the variance. Another seed gives another score; with few rows a component, the mixture
    tells the rows apart and the score nears 0 whatever the features are.

    Costs O(N K d^2 + K d^3) an iteration of expectation maximisation, K components of d directions: the slowest score.

    Args:
        decomposition: of the rows.
        seed: of where the mixture begins.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    rows = _most_of(decomposition).numpy()
    n_components = min(_COMPONENTS_A_CLASS * decomposition.targets.shape[1], decomposition.n_rows)
    mixture = GaussianMixture(n_components, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # features that are all the same, or a slow ascent
        mixture.fit(rows)
    return leep(torch.from_numpy(mixture.predict_proba(rows)), decomposition.labels)


def _most_of(decomposition: Decomposition) -> Tensor:
    """Return rows (N, d) along the fewest principal directions that hold the variance asked for, at least one."""
    components, power = decomposition.leading()
    if not len(power):
        return decomposition.principal.components[:, -1:]
    held = power.flip(0).cumsum(0) / power.sum()
    n_kept = int((held < _KEPT_VARIANCE).sum()) + 1
    return components[:, len(power) - min(n_kept, len(power)) :]
