"""What a score is within a pool of candidates.

A score that is made of parts rescaled over the pool is relative to it: a candidate more or less can change every score
and the order of the others, and scores of two pools cannot be compared. A part that is the same for all adds 0.
"""

from collections.abc import Sequence


def relative(values: Sequence[float]) -> tuple[float, ...]:
    """Return values rescaled to [0, 1], the lowest of the pool to 0, the highest to 1; all 0 if they are equal."""
    if not values:
        return ()
    low, high = min(values), max(values)
    return tuple((value - low) / (high - low) if high > low else 0.0 for value in values)
