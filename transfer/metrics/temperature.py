"""One number that turns scores into shares of confidence.

Source: the temperature, Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 4.2;
smoothed targets, Platt 1999, "Probabilistic outputs for support vector machines", section 2.2.
"""

from torch import Tensor
from torch.nn import functional

_MOST_STEPS = 50
_CLOSE = 1e-9
_COLDEST = 1e4


def calibrated(
    scores: Tensor,
    labels: Tensor,
    start: float = 1.0,
    *,
    weights: Tensor | None = None,
    offset: Tensor | None = None,
) -> tuple[float, float]:
    """Return the inverse temperature that makes a softmax of scores most likely, and the mean loss under it, nats.

    Targets are smoothed as if one more row had been seen and mistaken, so that scores without a mistake do not ask for
    boundless confidence.

    Args:
        scores: float64 (N, C), of rows that the scores' model has not seen.
        labels: int64 (N,).
        start: where Newton's method begins, above 0.
        weights: how much each row counts, float64 (N,), their mean 1; all the same when None.
        offset: added to the scores of every row after they are multiplied, float64 (C,); nothing when None.
    """
    n_rows, n_classes = scores.shape
    doubt = 1.0 / (n_rows + 2)
    targets = functional.one_hot(labels, n_classes).to(scores.dtype) * (1 - doubt * n_classes / (n_classes - 1))
    targets += doubt / (n_classes - 1)
    wanted = (targets * scores).sum(1)
    sharpness = start
    for _ in range(_MOST_STEPS):
        shares = _moved(sharpness * scores, offset).softmax(1)
        mean = (shares * scores).sum(1)
        slope = float(_weighted(mean - wanted, weights).mean())
        bend = float(_weighted((shares * scores.square()).sum(1) - mean.square(), weights).mean())
        step = slope / max(bend, 1e-12)
        step = max(min(step, 0.5 * sharpness), -(sharpness + 1.0))  # never below half, never more than about double
        sharpness = min(sharpness - step, _COLDEST)
        if abs(step) < _CLOSE * sharpness:
            break
    losses = -(targets * _moved(sharpness * scores, offset).log_softmax(1)).sum(1)
    return sharpness, float(_weighted(losses, weights).mean())


def _moved(scores: Tensor, offset: Tensor | None) -> Tensor:
    return scores if offset is None else scores + offset


def _weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    return values if weights is None else weights * values
