"""Warnings that are there before training: what a ranking already says against a transfer."""

from collections.abc import Mapping, Sequence

from transfer.metrics.intervals import independent_difference, wilson_interval
from transfer.records import Interval

FAR = 1.8  # of proxy A-distances: a linear classifier takes at most 1 image in 20 for one of the other set


def early_warnings(
    winner: Mapping[str, float],
    pixels: Mapping[str, float],
    random: Sequence[Mapping[str, float]],
    distance: float | None,
    confidence: float,
) -> tuple[str, ...]:
    """Return a sentence for each simple thing that pretrained features are not surely better than, and for far images.

    Accuracies are those of ridge regression, each row left out once. The intervals are those of independent rows; they
    are the same rows, so that a warning is given too often rather than too rarely.

    A large distance alone is no warning: weights of strokes are far from digits and help there. It is one where
    neighbours among the features are surely worse than neighbours among raw pixels.

    Args:
        winner: `ridge_loo_accuracy`, `knn_loo_accuracy` and `n_rows` of the chosen backbone.
        pixels: the same of raw pixels.
        random: the same of every candidate with random weights.
        distance: proxy A-distance of the images from those that the backbone learned from, in [0, 2]; None where not
            known.
        confidence: in (0, 1).

    Source: no published rule; that a probe of pretrained features should beat one of random features is the control of
    Alain and Bengio 2016, arXiv:1610.01644, section 3.
    """
    found = []
    others = [("raw pixels", pixels), *(("features of random weights", one) for one in random)]
    for what, other in others:
        gain, said = _compared(winner, other, "ridge_loo_accuracy", confidence)
        if gain.low <= 0:
            found.append(f"A linear probe of the pretrained features is not surely better than one of {what}: {said}.")
    if distance is not None and distance >= FAR:
        gain, said = _compared(winner, pixels, "knn_loo_accuracy", confidence)
        if gain.high < 0:
            found.append(
                f"The images are far from those that the backbone learned from (proxy A-distance {distance:.2f} of 2), "
                f"and nearest neighbours among its features are worse than among raw pixels: {said}."
            )
    return tuple(dict.fromkeys(found))


def _compared(
    winner: Mapping[str, float], other: Mapping[str, float], score: str, confidence: float
) -> tuple[Interval, str]:
    """Return the interval of what the winner's score is above another's, and both in words."""
    own, theirs = (
        wilson_interval(round(one[score] * one["n_rows"]), int(one["n_rows"]), confidence) for one in (winner, other)
    )
    gain = independent_difference(own, theirs)
    return gain, (
        f"{own.value:.3f} and {theirs.value:.3f} of the training images, each left out once "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f} points)"
    )
