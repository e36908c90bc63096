"""Sets of classes that hold the right one as often as asked, by rows that the model was not fitted to.

A score says how ill a class suits a row. The threshold is a quantile of the scores that the right classes of
calibration rows have; a set holds every class whose score is not above it. Where calibration rows and new rows are
exchangeable, the sets of new rows hold the right class with probability 1 - error or more, whatever the model.

Source: Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World, section 4.2; the split form,
Papadopoulos et al. 2002, Inductive Confidence Machines for Regression.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from transfer.errors import UserError
from transfer.metrics.classification import Labels, Probabilities

Floats = NDArray[np.float64]
Scores = Callable[[Probabilities, Floats], Floats]


def lac_scores(probabilities: Probabilities, draws: Floats) -> Floats:  # noqa: ARG001  the seam of both scores
    """Return one less each class's probability, float64 (N, C): sets that are the smallest on average.

    Args:
        probabilities: float64 (N, C).
        draws: float64 (N,), not needed.

    Source: Sadinle, Lei and Wasserman 2019, Least Ambiguous Set-Valued Classifiers with Bounded Error Levels, JASA
    114(525), section 3.
    """
    return 1.0 - probabilities


def aps_scores(probabilities: Probabilities, draws: Floats) -> Floats:
    """Return the mass of the classes before each class, and a drawn share of its own, float64 (N, C).

    Sets are larger on average than those of `lac_scores`, and adapt to how hard a row is.

    Args:
        probabilities: float64 (N, C).
        draws: float64 (N,), uniform in [0, 1], one a row.

    Source: Romano, Sesia and Candes 2020, Classification with Valid and Adaptive Coverage, arXiv:2006.02544, equations
    5 to 8.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    falling = np.take_along_axis(probabilities, order, axis=1)
    scores = np.cumsum(falling, axis=1) - (1.0 - draws[:, None]) * falling
    found = np.empty_like(scores)
    np.put_along_axis(found, order, scores, axis=1)
    return found


METHODS: dict[str, Scores] = {"lac": lac_scores, "aps": aps_scores}


def threshold(scores: Floats, error: float) -> float:
    """Return the score that at most a share `error` of new rows' right classes exceeds; infinity of too few rows.

    Args:
        scores: of the right classes of calibration rows, float64 (n,), n at least 1.
        error: in (0, 1).

    Raises:
        UserError: there is no row.
    """
    if not len(scores):
        raise UserError("There is no calibration row; raise manifest.val_fraction or add a val/ folder.")
    place = math.ceil((len(scores) + 1) * (1 - error) - 1e-9)
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else math.inf


def coverage_by_chance(n_known: int, n_new: int, error: float, confidence: float) -> tuple[float, float]:
    """Return between which shares of new rows sets hold the right class, where all rows are exchangeable.

    Args:
        n_known: calibration rows, at least 1.
        n_new: rows that get sets, at least 1.
        error: in (0, 1).
        confidence: that the share lies between, in (0, 1).

    Source: the beta-binomial law of split conformal coverage, Vovk 2012, Conditional validity of inductive conformal
    predictors, arXiv:1209.2673, proposition 2a; Angelopoulos and Bates 2021, arXiv:2107.07511, section 3.2.
    """
    from scipy.stats import betabinom

    place = math.ceil((n_known + 1) * (1 - error) - 1e-9)
    if place > n_known:
        return 1.0, 1.0
    law = betabinom(n_new, place, n_known + 1 - place)
    return float(law.ppf((1 - confidence) / 2)) / n_new, float(law.ppf((1 + confidence) / 2)) / n_new


def sets(
    method: str, calibration: tuple[Labels, Probabilities], probabilities: Probabilities, error: float, seed: int
) -> tuple[float, NDArray[np.bool_]]:
    """Return the threshold, and for each row which classes its set holds, bool (N, C).

    Args:
        method: one of `METHODS`.
        calibration: labels int64 (n,) and probabilities float64 (n, C) of rows the model was not fitted to.
        probabilities: of the rows that get sets, float64 (N, C).
        error: the share of sets that may miss the right class, in (0, 1).
        seed: of what `aps_scores` draws.
    """
    draw, of_class = np.random.default_rng(seed), METHODS[method]
    labels, known = calibration
    right = of_class(known, draw.random(len(labels)))[np.arange(len(labels)), labels]
    limit = threshold(right, error)
    return limit, of_class(probabilities, draw.random(len(probabilities))) <= limit
