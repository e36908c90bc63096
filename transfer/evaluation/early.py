"""Warnings that are there before training: what a ranking already says against a transfer."""

from collections.abc import Mapping, Sequence

from transfer.metrics.intervals import independent_difference, wilson_interval


def early_warnings(
    winner: Mapping[str, float], pixels: Mapping[str, float], random: Sequence[Mapping[str, float]], confidence: float
) -> tuple[str, ...]:
    """Return a sentence for each simple thing that pretrained features are not surely better than.

    Accuracies are those of ridge regression, each row left out once. The intervals are those of independent rows; they
    are the same rows, so that a warning is given too often rather than too rarely.

    Args:
        winner: `ridge_loo_accuracy` and `n_rows` of the chosen backbone.
        pixels: the same of raw pixels.
        random: the same of every candidate with random weights.
        confidence: in (0, 1).

    Source: no published rule; that a probe of pretrained features should beat one of random features is the control of
    Alain and Bengio 2016, arXiv:1610.01644, section 3.
    """
    found = []
    others = [("raw pixels", pixels), *(("features of random weights", one) for one in random)]
    for what, other in others:
        own, theirs = (
            wilson_interval(round(one["ridge_loo_accuracy"] * one["n_rows"]), int(one["n_rows"]), confidence)
            for one in (winner, other)
        )
        gain = independent_difference(own, theirs)
        if gain.low <= 0:
            found.append(
                f"A linear probe of the pretrained features is not surely better than one of {what}: "
                f"{own.value:.3f} and {theirs.value:.3f} of the training images, each left out once "
                f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f} points)."
            )
    return tuple(dict.fromkeys(found))
