"""What a score is within a pool of candidates."""

from collections.abc import Sequence


def relative(values: Sequence[float]) -> tuple[float, ...]:
    """Return values rescaled to [0, 1], the lowest of the pool to 0, the highest to 1; all 0 if they are equal."""
    if not values:
        return ()
    low, high = min(values), max(values)
    return tuple((value - low) / (high - low) if high > low else 0.0 for value in values)
