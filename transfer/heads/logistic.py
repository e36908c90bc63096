"""Multinomial logistic regression on frozen features, with a penalty on the squared weights.

Source: Hoerl and Kennard's penalty on Cox's regression, le Cessie and van Houwelingen 1992, "Ridge estimators in
logistic regression", Applied Statistics 41(1):191-201; the temperature is that of `transfer.metrics.temperature`.
"""

from torch import Tensor

from transfer.heads.linear import LinearFit, cross_validated
from transfer.records import ClassBalance

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_MOST_ITERATIONS = 1000


def fit_logistic(
    features: Tensor, labels: Tensor, n_classes: int, balance: ClassBalance | None = None, *, seed: int
) -> LinearFit:
    """Fit a logistic regression on standardised features.

    Args:
        features: float (N, D), N at least 2.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.
        balance: what is done about unequal classes; nothing when None.
        seed: of the folds.

    Raises:
        UserError: a class has no row, or a feature is not finite.
    """
    from sklearn.linear_model import LogisticRegression

    def model() -> LogisticRegression:
        return LogisticRegression(max_iter=_MOST_ITERATIONS, warm_start=True)

    return cross_validated(features, labels, n_classes, STRENGTHS, model, balance, seed)
