"""The linear probe in closed form: ridge regression on frozen features, strength and temperature by leave-one-out.

Ridge scores say which class; what share of confidence a score is worth is told by scores of rows that the fit did not
see, and those come for free. On frozen features of a few hundred images this is as accurate as a cross-validated
logistic regression, and ten and more times sooner (docs/probe.md).

Source: leave-one-out, see `transfer.metrics.ridge`; the temperature, Guo et al. 2017, "On calibration of modern neural
networks", arXiv:1706.04599, section 4.2; smoothed targets, Platt 1999, "Probabilistic outputs for support vector
machines", section 2.2.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from transfer.errors import UserError
from transfer.metrics.ridge import RidgePath

_MOST_STEPS = 50
_CLOSE = 1e-9
_COLDEST = 1e4
_LEAST_SCALE = 1e-8


def fit_probe(features: Tensor, labels: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """Fit a probe on standardised features.

    Args:
        features: float (N, D), N at least 2.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.

    Returns:
        weight float32 (n_classes, D) and bias float32 (n_classes,) for the features as they are: standardiser and
        temperature are folded in, so that a softmax of features @ weight.T + bias gives calibrated shares.

    Raises:
        UserError: a class has no row.
    """
    missing = sorted(set(range(n_classes)) - set(labels.unique().tolist()))
    if missing:
        raise UserError(f"Class {missing[0]} has no training row; every class needs at least one.")
    mean, scale = _standardiser(features)
    path = RidgePath((features.double() - mean) / scale, labels, n_classes)
    best_nll, best_strength, best_sharpness = math.inf, path.strengths()[-1], 1.0
    sharpness = 1.0
    for strength in reversed(path.strengths()):
        sharpness, nll = calibrated(path.without_one(strength), labels, sharpness)
        if nll < best_nll:
            best_nll, best_strength, best_sharpness = nll, strength, sharpness
    weight, bias = path.fitted(best_strength)
    weight, bias = best_sharpness * weight / scale, best_sharpness * bias
    return weight.float(), (bias - weight @ mean).float()


def calibrated(scores: Tensor, labels: Tensor, start: float = 1.0) -> tuple[float, float]:
    """Return the inverse temperature that makes a softmax of scores most likely, and the mean loss under it, nats.

    Targets are smoothed as if one more row had been seen and mistaken, so that scores without a mistake do not ask for
    boundless confidence.

    Args:
        scores: float64 (N, C), of rows that the scores' model has not seen.
        labels: int64 (N,).
        start: where Newton's method begins, above 0.
    """
    n_rows, n_classes = scores.shape
    doubt = 1.0 / (n_rows + 2)
    targets = functional.one_hot(labels, n_classes).to(scores.dtype) * (1 - doubt * n_classes / (n_classes - 1))
    targets += doubt / (n_classes - 1)
    wanted = (targets * scores).sum(1)
    sharpness = start
    for _ in range(_MOST_STEPS):
        shares = (sharpness * scores).softmax(1)
        mean = (shares * scores).sum(1)
        slope = float((mean - wanted).mean())
        bend = float(((shares * scores.square()).sum(1) - mean.square()).mean())
        step = slope / max(bend, 1e-12)
        step = max(min(step, 0.5 * sharpness), -(sharpness + 1.0))  # never below half, never more than about double
        sharpness = min(sharpness - step, _COLDEST)
        if abs(step) < _CLOSE * sharpness:
            break
    losses = -(targets * (sharpness * scores).log_softmax(1)).sum(1)
    return sharpness, float(losses.mean())


def _standardiser(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and scales; a feature that hardly varies gets an infinite scale, and so no weight."""
    wide = features.double()
    scale = wide.std(0, correction=0)
    return wide.mean(0), torch.where(scale > _LEAST_SCALE, scale, torch.inf)
