"""The linear probe in closed form: ridge regression on frozen features, strength and temperature by leave-one-out.

Ridge scores say which class; what share of confidence a score is worth is told by scores of rows that the fit did not
see, and those come for free. On frozen features of a few hundred images this is as accurate as a cross-validated
logistic regression, and ten and more times sooner (docs/probe.md).

The leave-one-out formula is that of `transfer.metrics.ridge`, the temperature that of `transfer.metrics.temperature`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transfer.errors import UserError
from transfer.finetuning.balance import LOGITS, SAMPLING, WEIGHTS, log_shares
from transfer.metrics.class_weights import equal_weights
from transfer.metrics.ridge import RidgePath
from transfer.metrics.temperature import calibrated
from transfer.records import ClassBalance

_LEAST_SCALE, _LEAST_SHARE = 1e-8, 1e-6  # what varies less is rounding


@dataclass(frozen=True)
class Probe:
    """A linear probe for features as they are: standardiser and temperature are folded in.

    Args:
        weight: float32 (n_classes, D).
        bias: float32 (n_classes,); a softmax of features @ weight.T + bias gives calibrated shares.
        held_out: float64 (N, n_classes), logits of each row by the fit to all others; only standardiser and temperature
            are those of all rows.
    """

    weight: Tensor
    bias: Tensor
    held_out: Tensor

    def write_to(self, head: nn.Linear) -> None:
        """Put the probe into a head."""
        with torch.no_grad():
            head.weight.copy_(self.weight)
            head.bias.copy_(self.bias)


def fit_probe(features: Tensor, labels: Tensor, n_classes: int, balance: ClassBalance | None = None) -> Probe:
    """Fit a probe on standardised features.

    What training does about unequal classes the probe does in closed form. Weights multiply squared errors; sampling,
    in expectation, does the same; the logarithm of a class's share is subtracted from its score. Where each class
    counts the same, strength and temperature are those that are best for it.

    Args:
        features: float (N, D), N at least 2.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.
        balance: what is done about unequal classes; nothing when None.

    Raises:
        UserError: a class has no row, or a feature is not finite.

    Source: post-hoc logit adjustment, Menon et al. 2021, arXiv:2007.07314, section 4.
    """
    balance = balance or ClassBalance()
    _require_usable(features, labels, n_classes)
    weights = equal_weights(labels) if balance.equally else None
    offset = -log_shares(labels.bincount(minlength=n_classes).tolist()) if balance.remedy == LOGITS else None
    mean, scale = _standardiser(features)
    fitted_with = equal_weights(labels) if balance.remedy in (WEIGHTS, SAMPLING) else None
    path = RidgePath((features.double() - mean) / scale, labels, n_classes, fitted_with)
    best_nll, best_strength, best_sharpness = math.inf, path.strengths()[-1], 1.0
    sharpness = 1.0
    for strength in reversed(path.strengths()):
        scores = path.without_one(strength)
        sharpness, nll = calibrated(scores, labels, sharpness, weights=weights, offset=offset)
        if nll < best_nll:
            best_nll, best_strength, best_sharpness = nll, strength, sharpness
    weight, bias = path.fitted(best_strength)
    weight, bias = best_sharpness * weight / scale, best_sharpness * bias
    held_out = best_sharpness * path.without_one(best_strength)
    if offset is not None:
        bias, held_out = bias + offset, held_out + offset
    return Probe(weight.float(), (bias - weight @ mean).float(), held_out)


def _require_usable(features: Tensor, labels: Tensor, n_classes: int) -> None:
    missing = sorted(set(range(n_classes)) - set(labels.unique().tolist()))
    if missing:
        raise UserError(f"Class {missing[0]} has no training row; every class needs at least one.")
    if not bool(torch.isfinite(features).all()):
        raise UserError("The backbone gives features that are not finite numbers; choose other weights.")


def _standardiser(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and scales; a feature that hardly varies gets an infinite scale, and so no weight."""
    wide = features.double()
    scale = wide.std(0, correction=0)
    return wide.mean(0), torch.where(scale > _LEAST_SCALE + _LEAST_SHARE * wide.mean(0).abs(), scale, torch.inf)
