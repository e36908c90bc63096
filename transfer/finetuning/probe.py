"""The linear probe: multinomial logistic regression on frozen features, fitted to convergence.

Source: the objective is scikit-learn's `LogisticRegression` (L2 penalty, unpenalised intercept), Bishop 2006, Pattern
Recognition and Machine Learning, section 4.3.4.
"""

import torch
from torch import Tensor, nn

from transfer.errors import UserError
from transfer.randomness import generator

STRENGTHS: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
_N_FOLDS = 5
_MAX_ITERATIONS = 200
_TOLERANCE = 1e-7  # of the largest derivative, at the end
_ROUGH_TOLERANCE = 1e-4  # while strengths are compared, in single precision
_SMALLEST_CHANGE = 1e-12


def fit_probe(features: Tensor, labels: Tensor, n_classes: int, seed: int) -> tuple[Tensor, Tensor, float]:
    """Fit a probe on standardised features, its strength chosen by cross-validated negative log likelihood.

    Args:
        features: float (N, D).
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.
        seed: of the folds.

    Returns:
        weight float32 (n_classes, D) and bias float32 (n_classes,) for the features as they are (the standardiser is
        folded in), and the chosen inverse strength C.

    Raises:
        UserError: a class has no row.
    """
    missing = sorted(set(range(n_classes)) - set(labels.unique().tolist()))
    if missing:
        raise UserError(f"Class {missing[0]} has no training row; every class needs at least one.")
    mean, scale = _standardiser(features)
    rows = (features.double() - mean) / scale
    best = _best_strength(rows, labels, n_classes, seed)
    weight, bias = logistic_regression(rows, labels, n_classes, best)
    weight = weight / scale
    return weight.float(), (bias - weight @ mean).float(), best


def logistic_regression(
    rows: Tensor,
    labels: Tensor,
    n_classes: int,
    inverse_strength: float,
    start: tuple[Tensor, Tensor] | None = None,
    tolerance: float = _TOLERANCE,
) -> tuple[Tensor, Tensor]:
    """Minimise C * sum of the negative log likelihood + half the squared weights, the intercept unpenalised.

    Args:
        rows: float32 or float64 (N, D); what is computed and returned has the same type.
        labels: int64 (N,).
        n_classes: at least 2.
        inverse_strength: C, above 0.
        start: weight and bias to begin with; zeros when None.
        tolerance: of the largest derivative of the mean objective.

    Returns:
        weight (n_classes, D), bias (n_classes,).
    """
    if start is None:
        zeros = rows.new_zeros(n_classes, rows.shape[1] + 1)
        start = zeros[:, 1:], zeros[:, 0]
    weight, bias = (value.clone() for value in start)
    targets = nn.functional.one_hot(labels, n_classes).to(rows.dtype)
    penalty = 1 / (inverse_strength * len(rows))

    def closure() -> Tensor:
        """Set the derivatives, written out because autograd takes as long again, and return the mean objective."""
        log_shares = torch.addmm(bias, rows, weight.T).log_softmax(1)
        surplus = (log_shares.exp() - targets) / len(rows)
        weight.grad = torch.addmm(weight, surplus.T, rows, beta=penalty)
        bias.grad = surplus.sum(0)
        return penalty / 2 * weight.square().sum() - (log_shares * targets).sum() / len(rows)

    _lbfgs([weight, bias], tolerance).step(closure)
    return weight, bias


def _lbfgs(parameters: list[Tensor], tolerance: float) -> torch.optim.LBFGS:
    return torch.optim.LBFGS(
        parameters,
        max_iter=_MAX_ITERATIONS,
        tolerance_grad=tolerance,
        tolerance_change=_SMALLEST_CHANGE,
        line_search_fn="strong_wolfe",
    )


def _best_strength(rows: Tensor, labels: Tensor, n_classes: int, seed: int) -> float:
    totals = torch.zeros(len(STRENGTHS), dtype=torch.float64)
    for fold in _stratified_folds(labels, seed):
        totals += _held_out_nlls(rows.float(), labels, n_classes, fold)
    return STRENGTHS[int(totals.argmin())]


def _held_out_nlls(rows: Tensor, labels: Tensor, n_classes: int, fold: Tensor) -> Tensor:
    """Return the summed negative log likelihood of a fold under every strength, each fit begun at the one before."""
    kept = torch.ones(len(rows), dtype=torch.bool)
    kept[fold] = False
    kept_rows, kept_labels = rows[kept], labels[kept]
    fitted, nlls = None, []
    for strength in STRENGTHS:
        fitted = logistic_regression(kept_rows, kept_labels, n_classes, strength, fitted, _ROUGH_TOLERANCE)
        weight, bias = fitted
        logits = (rows[fold] @ weight.T + bias).double()
        nlls.append(nn.functional.cross_entropy(logits, labels[fold], reduction="sum"))
    return torch.stack(nlls)


def _stratified_folds(labels: Tensor, seed: int) -> list[Tensor]:
    """Deal the rows of each class into folds in turn; small classes leave some folds without them."""
    order = torch.randperm(len(labels), generator=generator(seed, "probe folds"))
    order = order[labels[order].argsort(stable=True)]
    n_folds = min(_N_FOLDS, len(labels))
    return [order[start::n_folds] for start in range(n_folds)]


def _standardiser(features: Tensor) -> tuple[Tensor, Tensor]:
    wide = features.double()
    scale = wide.std(0, correction=0)
    return wide.mean(0), torch.where(scale > 1e-8, scale, torch.ones_like(scale))
