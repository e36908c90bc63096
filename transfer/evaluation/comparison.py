"""Models compared with one another on the same rows, each claim at a level that holds for all of them together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transfer.metrics.bootstrap import Resamples, bootstrapped
from transfer.metrics.classification import Labels, accuracy
from transfer.metrics.counted import mean_of, means_by_class, over_classes
from transfer.metrics.intervals import mcnemar_p, mean_of_strata, paired_difference, wider, wilson_interval
from transfer.metrics.multiplicity import holm, sign_flip_p
from transfer.records import Interval

CAVEAT = "equal images seen, not converged"
FEWEST = 20  # rows of a class or a slice of which anything is claimed


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against one reference on the same rows.

    Args:
        reference: name of the reference.
        accuracy: the reference's, with its interval.
        gain: the model's accuracy minus the reference's, with its paired interval.
        p_value: exact McNemar, two-sided; of groups of rows, exact over all flips of a group.
        better: whether the model is better (True) or worse (False), claimed only where the interval of the gain
            excludes 0 and the exact test agrees at the same confidence; None otherwise.
        p_adjusted: the p-value where several references are compared with, see `together`.
        narrow: the gain with the interval that an equivalence is told from, at twice the confidence less 1.
    """

    reference: str
    accuracy: Interval
    gain: Interval
    p_value: float
    better: bool | None
    p_adjusted: float
    narrow: Interval

    def is_within(self, margin: float) -> bool:
        """Say whether the gain is surely closer to 0 than a margin.

        Args:
            margin: at least 0; nothing is within 0.

        Source: two one-sided tests, Schuirmann 1987, A comparison of the two one-sided tests procedure and the power
        approach, Journal of Pharmacokinetics and Biopharmaceutics 15(6).
        """
        return -margin < self.narrow.low and self.narrow.high < margin


@dataclass(frozen=True)
class Groups:
    """Rows that depend on one another.

    Args:
        places: int64 (N,), the group of every row.
        rows: resamples of whole groups.
    """

    places: NDArray[np.int64]
    rows: Resamples

    def of(self, own: NDArray[np.bool_]) -> "Groups":
        """Return the groups as some of the rows see them.

        Args:
            own: bool (N,), which rows.
        """
        return Groups(self.places[own], Resamples(self.rows.drawn[own], self.rows.left_out[own]))


def accuracy_interval(actual: Labels, predicted: Labels, confidence: float, groups: Groups | None = None) -> Interval:
    """Return the accuracy with its Wilson interval; of groups of rows, with that of the bootstrap of groups.

    Args:
        actual: int64 (N,).
        predicted: int64 (N,).
        confidence: of the interval, in (0, 1).
        groups: of the rows; each is by itself when None.
    """
    n_right = round(accuracy(actual, predicted) * len(actual))
    plain = wilson_interval(n_right, len(actual), confidence)
    return _of_groups(plain, (actual == predicted).astype(np.float64), confidence, groups)


def balanced_accuracy(actual: Labels, predicted: Labels, confidence: float, rows: Resamples) -> Interval:
    """Return the mean of the classes' recalls with its interval.

    Of the few rows of a rare class resamples show next to no variation, and some lack it: the interval is therefore the
    wider of the bootstrap's and that of the classes' Wilson intervals.

    Args:
        actual: int64 (N,).
        predicted: int64 (N,).
        confidence: of the interval, in (0, 1).
        rows: resamples.
    """
    plain = mean_of_strata([accuracy_interval(*own, confidence) for own in _by_class(actual, predicted)])
    return _balanced(plain, actual, (actual == predicted).astype(np.float64), confidence, rows)


def balanced_gain(
    actual: Labels, predicted: Labels, by_reference: Labels, confidence: float, rows: Resamples
) -> Interval:
    """Return the balanced accuracy minus the reference's on the same rows, with its interval (values in [-1, 1]).

    The interval is the wider of the bootstrap's and that of the classes' paired intervals, as for `balanced_accuracy`.

    Args:
        actual: int64 (N,).
        predicted: the model's classes, int64 (N,).
        by_reference: the reference's classes, int64 (N,).
        confidence: of the interval, in (0, 1).
        rows: resamples.
    """
    right, reference_right = predicted == actual, by_reference == actual
    parts = []
    for own in (actual == label for label in np.unique(actual)):
        only = int(np.sum((right & ~reference_right)[own])), int(np.sum((~right & reference_right)[own]))
        parts.append(paired_difference(*only, int(own.sum()), confidence))
    apart = right.astype(np.float64) - reference_right
    return _balanced(mean_of_strata(parts, low=-1.0), actual, apart, confidence, rows)


def compare(
    actual: Labels,
    predicted: Labels,
    reference: str,
    by_reference: Labels,
    confidence: float,
    groups: Groups | None = None,
) -> Comparison:
    """Compare a model with a reference.

    Args:
        actual: int64 (N,).
        predicted: the model's classes, int64 (N,).
        reference: the reference's name.
        by_reference: the reference's classes, int64 (N,).
        confidence: of both intervals, at least 0.5, below 1.
        groups: of the rows; each is by itself when None.
    """
    right, reference_right = predicted == actual, by_reference == actual
    only_model = int(np.sum(right & ~reference_right))
    only_reference = int(np.sum(~right & reference_right))
    apart = right.astype(np.float64) - reference_right
    gain, narrow = (
        _of_groups(paired_difference(only_model, only_reference, len(actual), level), apart, level, groups)
        for level in (confidence, max(2 * confidence - 1, 0.0))
    )
    p_value = mcnemar_p(only_model, only_reference) if groups is None else _p_of_groups(apart, groups)
    own = accuracy_interval(actual, by_reference, confidence, groups)
    return Comparison(reference, own, gain, p_value, _direction(gain, p_value, confidence), p_value, narrow)


def together(comparisons: Mapping[str, Comparison], confidence: float) -> dict[str, Comparison]:
    """Return comparisons whose claims hold together: that any of them is false is no likelier than 1 - confidence.

    Args:
        comparisons: reference -> how the model compares with it.
        confidence: in (0, 1).
    """
    adjusted = holm([one.p_value for one in comparisons.values()])
    return {
        name: replace(one, p_adjusted=p, better=_direction(one.gain, p, confidence))
        for (name, one), p in zip(comparisons.items(), adjusted, strict=True)
    }


def by_class(
    actual: Labels, predicted: Labels, by_reference: Labels, confidence: float, groups: Groups | None = None
) -> tuple[tuple[int, int, Comparison], ...]:
    """Return label, rows and comparison of every class there is; p-values are adjusted for the number of classes.

    Nothing is claimed of a class of fewer than `FEWEST` rows.

    Args:
        actual: int64 (N,).
        predicted: the model's classes, int64 (N,).
        by_reference: the reference's classes, int64 (N,).
        confidence: of the intervals, at least 0.5, below 1.
        groups: of the rows; each is by itself when None.
    """
    labels = np.unique(actual).tolist()
    rows = {str(label): actual == label for label in labels}
    found = {
        name: compare(
            actual[own], predicted[own], name, by_reference[own], confidence, None if groups is None else groups.of(own)
        )
        for name, own in rows.items()
    }
    enough = {name: one for name, one in found.items() if rows[name].sum() >= FEWEST}
    claimed = {name: replace(one, better=None) for name, one in found.items()} | together(enough, confidence)
    return tuple((label, int(rows[str(label)].sum()), claimed[str(label)]) for label in labels)


def _by_class(actual: Labels, predicted: Labels) -> list[tuple[Labels, Labels]]:
    return [(actual[actual == label], predicted[actual == label]) for label in np.unique(actual)]


def _balanced(
    plain: Interval, actual: Labels, values: NDArray[np.float64], confidence: float, rows: Resamples
) -> Interval:
    """Return the mean of the classes' means with the wider of the bootstrap's interval and the plain one."""
    (found,) = bootstrapped(over_classes(means_by_class(values, actual)), rows, confidence)
    return plain if found is None else wider(plain, found)


def _of_groups(plain: Interval, values: NDArray[np.float64], confidence: float, groups: Groups | None) -> Interval:
    """Return the interval of a mean over groups, which holds that of the same number of independent rows."""
    if groups is None or not 0 < confidence < 1:
        return plain
    (found,) = bootstrapped(mean_of(values), groups.rows, confidence)
    return plain if found is None else wider(plain, found)


def _p_of_groups(apart: NDArray[np.float64], groups: Groups) -> float:
    _, places = np.unique(groups.places, return_inverse=True)
    return sign_flip_p(np.bincount(places.reshape(-1), apart).round().astype(int).tolist())


def _direction(gain: Interval, p_value: float, confidence: float) -> bool | None:
    if p_value >= 1 - confidence:
        return None
    return True if gain.low > 0 else False if gain.high < 0 else None
