"""Linear probe: the accuracy of a logistic regression on rows that its fit did not see.

Source: Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes, arXiv:1610.01644.
"""

import math
import warnings

import torch
from torch import Tensor
from torch.nn import functional

from transfer.heads.rows import folds, standardiser
from transfer.metrics.ridge import Principal
from transfer.selection.checks import memberships, require_finite

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # inverse penalties, weakest fit first: each goes on where the last one ended
_MOST_ITERATIONS = 200


def linear_probe(features: Tensor, labels: Tensor, seed: int, n_folds: int = 5) -> float:
    """Return the share of rows that a multinomial logistic regression on the others gets right, in [0, 1].

    Higher is better. Features are standardised, and every row is held out once. Of four penalties the one counts under
    which held-out rows are most likely, which favours every candidate a little, and all the same. A row that is alone
    in its class is never right.

    Costs O(N min(N, D) C) an iteration, four penalties in each fold: the reference for frozen use, not a quick score.

    Args:
        features: finite float (N, D).
        labels: int64 (N,).
        seed: of the folds.
        n_folds: at least 2.

    Raises:
        UserError: another number of labels than rows, fewer than two classes, or a feature that is not finite.
    """
    require_finite(features)
    places = memberships(labels, len(features)).argmax(1)
    mean, scale = standardiser(features)
    rows = (features.double() - mean) / scale
    if rows.shape[1] > len(rows):  # with a penalty on squared weights, the fit in the space of the rows is the same
        rows = Principal.of(rows).components
    parts = folds(places, n_folds, seed)
    logs = torch.zeros(len(_STRENGTHS), len(rows), int(places.max()) + 1, dtype=torch.float64)
    for part in parts:
        logs[:, part] = _unseen(rows, places, part, logs.shape[2])
    picked = torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)
    losses = [float(functional.nll_loss(log[picked], places[picked])) for log in logs] if parts else [math.inf]
    best = logs[losses.index(min(losses))]
    return float((best[picked].argmax(1) == places[picked]).sum()) / len(rows)


def _unseen(rows: Tensor, places: Tensor, part: Tensor, n_classes: int) -> Tensor:
    """Return log probabilities of held-out rows under fits to all others, float64 (strengths, n, C)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    others = torch.ones(len(rows), dtype=torch.bool)
    others[part] = False
    model = LogisticRegression(max_iter=_MOST_ITERATIONS, warm_start=True)
    found = torch.full((len(_STRENGTHS), len(part), n_classes), -torch.inf, dtype=torch.float64)
    for place, strength in enumerate(_STRENGTHS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out rows judge where it stopped
            model.set_params(C=strength).fit(rows[others].numpy(), places[others].numpy())
        found[place][:, model.classes_] = torch.from_numpy(model.predict_log_proba(rows[part].numpy()))
    return found
