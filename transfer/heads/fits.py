"""Heads by name, each fitted to frozen features in one go."""

from typing import Protocol

from torch import Tensor

from transfer.heads.fitted import Fitted
from transfer.heads.forest import fit_forest
from transfer.heads.linear import cross_validated
from transfer.heads.logistic import LOGISTIC
from transfer.heads.neighbours import fit_neighbours
from transfer.heads.ridge import fit_probe
from transfer.heads.svm import SVM
from transfer.records import ClassBalance

TRAINABLE = ("ridge", "logistic", "svm")  # linear heads, which steps of fine-tuning can begin with
HEADS = (*TRAINABLE, "forest", "knn")


class Fit(Protocol):
    """Fits a head."""

    def __call__(
        self, features: Tensor, labels: Tensor, n_classes: int, balance: ClassBalance | None = None, /
    ) -> Fitted:
        """Return a head for features (N, D) with labels (N,), and what is done about unequal classes."""
        ...


def fit_ridge(features: Tensor, labels: Tensor, n_classes: int, balance: ClassBalance | None = None, /) -> Fitted:
    """Return the closed-form probe as a head; see `fit_probe`."""
    return fit_probe(features, labels, n_classes, balance).fitted()


def fit_of(name: str, seed: int) -> Fit:
    """Return what fits a head.

    Args:
        name: one of `HEADS`.
        seed: of folds, and of what trees draw.
    """
    fits: dict[str, Fit] = {
        "ridge": fit_ridge,
        "logistic": lambda *rows: cross_validated(LOGISTIC, *rows, seed=seed).fitted(),
        "svm": lambda *rows: cross_validated(SVM, *rows, seed=seed).fitted(),
        "forest": lambda *rows: fit_forest(*rows, seed=seed),
        "knn": fit_neighbours,
    }
    return fits[name]
