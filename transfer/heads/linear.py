"""Linear heads that scikit-learn fits: the penalty and the temperature by rows that the fit did not see."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transfer.backbones.heads import linear_head
from transfer.heads.counting import Counting, counting_of
from transfer.heads.fitted import Fitted
from transfer.heads.rows import folds, require_fittable, standardiser
from transfer.metrics.temperature import calibrated
from transfer.records import ClassBalance

Floats = NDArray[np.float64]

_FOLDS, _FEWER_FOLDS = 5, 3
_FEW_ROWS = 500  # beyond, fits take long, and a third less to learn from changes little


class Model(Protocol):
    """A linear classifier of scikit-learn: `C` says how little squared weights cost."""

    coef_: Floats
    intercept_: Floats

    def set_params(self, **values: Any) -> Any:
        """Set what the next fit goes by."""
        ...

    def fit(self, rows: Floats, labels: NDArray[np.int64], sample_weight: Floats | None = None, /) -> Any:
        """Fit to rows (N, D) with labels (N,), whose losses are multiplied by weights (N,)."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """A way to fit a linear model.

    Args:
        strengths: inverse penalties to try, weakest fit first.
        model: makes a model; one goes through the strengths of a fold, and may go on where it was.
    """

    strengths: tuple[float, ...]
    model: Callable[[], Model]


@dataclass(frozen=True)
class _Rows:
    """Rows that a model is fitted to: float64 (N, D), int64 (N,), and float64 (N,) or None."""

    values: Floats
    labels: NDArray[np.int64]
    weights: Floats | None

    def solved(self, model: Model, strength: float, picked: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return weight (C, D) and bias (C,) of a fit to the rows that are picked, bool (N,)."""
        from sklearn.exceptions import ConvergenceWarning

        weights = None if self.weights is None else self.weights[picked]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out rows judge where it stopped
            model.set_params(C=strength).fit(self.values[picked], self.labels[picked], weights)
        weight, bias = model.coef_, np.atleast_1d(model.intercept_)
        if len(weight) == 1:  # of two classes, the score of the second over the first
            return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return weight, bias

    def unseen(self, model: Model, strength: float, held_out: NDArray[np.int64]) -> Tensor:
        """Return scores (n, C) of held-out rows, by their indices (n,), under a fit to all others."""
        others = np.ones(len(self.values), dtype=bool)
        others[held_out] = False
        weight, bias = self.solved(model, strength, others)
        return torch.from_numpy(self.values[held_out] @ weight.T + bias)


@dataclass(frozen=True)
class LinearFit:
    """A linear model of features as they are: the standardiser is folded in.

    Args:
        weight: float64 (C, D).
        bias: float64 (C,).
        strength: of those tried, the one under which held-out rows were most likely.
        sharpness: the inverse temperature that made them so.
        held_out: float64 (N, C), scores of each row by the fit that did not see it; 0 where there is none.
        counting: how rows of unequal classes count.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    sharpness: float
    held_out: Tensor
    counting: Counting

    def fitted(self) -> Fitted:
        """Return a head whose softmax gives calibrated shares."""
        bias = self.counting.moved(self.sharpness * self.bias)
        head = linear_head((self.sharpness * self.weight).float(), bias.float())
        held_out = self.counting.moved(self.sharpness * self.held_out)
        return Fitted(head, held_out, self.counting.told(self.sharpness))


def cross_validated(
    method: Method, features: Tensor, labels: Tensor, n_classes: int, balance: ClassBalance | None = None, *, seed: int
) -> LinearFit:
    """Fit a linear model, its penalty and its temperature by cross-validation.

    Rows wider than their number are first turned into the space that they span: a model with a penalty on the squared
    weights is the same there, and solved sooner (Hastie, Tibshirani and Friedman 2009, section 18.3.5).

    Args:
        method: `LOGISTIC` or `SVM`.
        features: float (N, D), N at least 2.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.
        balance: what is done about unequal classes; nothing when None.
        seed: of the folds.

    Raises:
        UserError: a class has no row, or a feature is not finite.
    """
    require_fittable(features, labels, n_classes)
    counting = counting_of(labels, n_classes, balance)
    mean, scale = standardiser(features)
    values, back = _spanned((features.double() - mean) / scale)
    rows = _Rows(values, labels.numpy(), None if counting.fitting is None else counting.fitting.numpy())
    parts = folds(labels, _FOLDS if len(labels) <= _FEW_ROWS else _FEWER_FOLDS, seed)
    strength, sharpness, held_out = _chosen(rows, n_classes, method, parts, counting)
    solved = rows.solved(method.model(), strength, np.ones(len(labels), dtype=bool))
    weight, bias = (torch.from_numpy(part) for part in solved)
    weight = (weight if back is None else weight @ back) / scale
    return LinearFit(weight, bias - weight @ mean, strength, sharpness, held_out, counting)


def _spanned(standard: Tensor) -> tuple[Floats, Tensor | None]:
    """Return rows (N, k) and the directions (k, D) they are coordinates in; None where they are as they were."""
    if standard.shape[1] <= standard.shape[0]:
        return standard.numpy(), None
    left, power, directions = torch.linalg.svd(standard, full_matrices=False)
    return (left * power).numpy(), directions


def _chosen(
    rows: _Rows,
    n_classes: int,
    method: Method,
    held_out: tuple[Tensor, ...],
    counting: Counting,
) -> tuple[float, float, Tensor]:
    """Return the strength and the inverse temperature under which held-out rows are most likely, and their scores.

    All strengths are tried: of few rows the loss may rise and fall more than once on its way to its lowest point.
    """
    scores = torch.zeros(len(rows.values), n_classes, dtype=torch.float64)
    best_nll, best = math.inf, (method.strengths[0], 1.0, scores)  # where no row can be held out, the weakest fit
    if not held_out:
        return best
    picked, models = torch.cat(held_out), [method.model() for _ in held_out]
    labels = torch.from_numpy(rows.labels)[picked]
    weights = None if counting.judging is None else counting.judging[picked]
    for strength in method.strengths:
        scores = torch.zeros_like(scores)
        for model, part in zip(models, held_out, strict=True):
            scores[part] = rows.unseen(model, strength, part.numpy())
        sharpness, nll = calibrated(scores[picked], labels, weights=weights, offset=counting.offset)
        if nll < best_nll:
            best_nll, best = nll, (strength, sharpness, scores)
    return best
