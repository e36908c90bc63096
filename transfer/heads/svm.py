"""A linear support vector machine on frozen features, one class against the rest, its scores calibrated.

Source: Cortes and Vapnik 1995, "Support-vector networks", Machine Learning 20:273-297; the solver is that of Fan et al.
2008, "LIBLINEAR", JMLR 9:1871-1874; scores become shares by one temperature, see `transfer.metrics.temperature`.
"""

from torch import Tensor

from transfer.heads.linear import LinearFit, cross_validated
from transfer.records import ClassBalance

STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_TOLERANCE = 1e-2  # what LIBLINEAR stops at by itself


def fit_svm(
    features: Tensor, labels: Tensor, n_classes: int, balance: ClassBalance | None = None, *, seed: int
) -> LinearFit:
    """Fit a support vector machine with squared hinge losses on standardised features.

    Args:
        features: float (N, D), N at least 2.
        labels: int64 (N,), in [0, n_classes).
        n_classes: at least 2.
        balance: what is done about unequal classes; nothing when None.
        seed: of the folds.

    Raises:
        UserError: a class has no row, or a feature is not finite.
    """
    from sklearn.svm import LinearSVC

    def model() -> LinearSVC:
        return LinearSVC(dual=False, tol=_TOLERANCE)  # the primal solver draws nothing at random

    return cross_validated(features, labels, n_classes, STRENGTHS, model, balance, seed)
