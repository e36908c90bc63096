"""What features and labels must be before anything is computed from them."""

import torch
from torch import Tensor
from torch.nn import functional

from transfer.errors import UserError


def require_scorable(features: Tensor, labels: Tensor) -> None:
    """Refuse features that cannot be scored by leaving one row out.

    Args:
        features: (N, D).
        labels: (N,).

    Raises:
        UserError: fewer than two rows, another number of labels, or a feature that is not finite.
    """
    if len(features) < 2 or len(features) != len(labels):
        raise UserError(
            f"{len(features)} rows with {len(labels)} labels cannot be scored by leaving one out; "
            f"at least 2 training rows, each with its label, are needed."
        )
    require_finite(features)


def require_finite(features: Tensor) -> None:
    """Refuse features that are not finite.

    Args:
        features: (N, D).

    Raises:
        UserError: a feature is not finite.
    """
    if not torch.isfinite(features).all():
        raise UserError("The features hold values that are not finite; use other weights or another candidate.")


def memberships(labels: Tensor, n_rows: int) -> Tensor:
    """Return which class each row is of, one-hot float64 (N, C), of the C classes that have rows, in their order.

    Args:
        labels: int64 (N,).
        n_rows: how many there must be.

    Raises:
        UserError: another number of labels than rows, or fewer than two classes.
    """
    if len(labels) != n_rows:
        raise UserError(f"{n_rows} rows with {len(labels)} labels cannot be scored; every row needs its label.")
    classes, places = labels.unique(return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"Rows of {len(classes)} class cannot be scored; at least 2 classes are needed.")
    return functional.one_hot(places, len(classes)).to(torch.float64)


def targets_of_source(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return `memberships` of rows of which shares of source classes are known; what is no share is refused.

    Args:
        probabilities: (N, Cs).
        labels: (N,).

    Raises:
        UserError: another number of rows, a share below 0 or not finite, rows that do not sum to 1, or fewer than two
            classes.
    """
    if probabilities.ndim != 2 or len(probabilities) != len(labels) or not len(labels):
        raise UserError(
            f"Source probabilities of shape {tuple(probabilities.shape)} do not fit {len(labels)} labels; "
            f"a row of shares is needed for every label."
        )
    sums = probabilities.double().sum(1)
    if not (torch.isfinite(sums).all() and (probabilities >= 0).all() and ((sums - 1).abs() < 1e-3).all()):
        raise UserError("Source probabilities must be finite, at least 0 and sum to 1 in every row; take a softmax.")
    return memberships(labels, len(probabilities))


def require_comparable(first: Tensor, second: Tensor) -> None:
    """Refuse sets of features that no distance can be taken of.

    Args:
        first: (N, D).
        second: (M, D).

    Raises:
        UserError: fewer than two rows in a set, sets of different widths, or a feature that is not finite.
    """
    if min(len(first), len(second)) < 2 or first.shape[1:] != second.shape[1:]:
        raise UserError(
            f"Sets of features of shapes {tuple(first.shape)} and {tuple(second.shape)} cannot be compared; "
            f"each needs 2 rows, and both the same width."
        )
    require_finite(first)
    require_finite(second)
