"""Multinomial logistic regression on frozen features, with a penalty on the squared weights.

Source: Hoerl and Kennard's penalty on Cox's regression, le Cessie and van Houwelingen 1992, "Ridge estimators in
logistic regression", Applied Statistics 41(1):191-201; the temperature is that of `transfer.metrics.temperature`.
"""

from typing import TYPE_CHECKING

from transfer.heads.linear import Method

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

_MOST_ITERATIONS = 1000


def logistic_regression() -> "LogisticRegression":
    """Return an unfitted model, which goes on from its last weights when it is fitted again."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=_MOST_ITERATIONS, warm_start=True)


LOGISTIC = Method((1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0), logistic_regression)
