"""A linear support vector machine on frozen features, one class against the rest, its scores calibrated.

Source: Cortes and Vapnik 1995, "Support-vector networks", Machine Learning 20:273-297; the solver is that of Fan et al.
2008, "LIBLINEAR", JMLR 9:1871-1874; scores become shares by one temperature, see `transfer.metrics.temperature`.
"""

from typing import TYPE_CHECKING

from transfer.heads.linear import Method

if TYPE_CHECKING:
    from sklearn.svm import LinearSVC

_TOLERANCE = 1e-2  # what LIBLINEAR stops at by itself


def support_vectors() -> "LinearSVC":
    """Return an unfitted model with squared hinge losses; its primal solver draws nothing at random."""
    from sklearn.svm import LinearSVC

    return LinearSVC(dual=False, tol=_TOLERANCE)


SVM = Method((1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0), support_vectors)
