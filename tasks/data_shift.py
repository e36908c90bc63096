"""Whether the images of one state are like those of another, in what their manifests say of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.data_diff import Difference
from transfer.data.shift import TwoSamples, shift_of, total_variation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LEVEL, _DISTANCE = 0.01, 0.1  # newcomers are apart where the test says so and the distance is one that matters
_MOST_KINDS = 20  # a text with more values names images, not kinds of them


@dataclass(frozen=True, slots=True)
class NumberShift:
    """A number that is recorded of every image, in both states.

    Args:
        fact: the manifest's column.
        all_images: all of the state after beside all before; None where one side has no value.
        newcomers: the images that came or changed beside all before; None where nothing came.
        apart: whether the newcomers differ from what was there, by more than chance and by more than a little.
    """

    fact: str
    all_images: TwoSamples | None
    newcomers: TwoSamples | None
    apart: bool


@dataclass(frozen=True, slots=True)
class KindShift:
    """Something that sorts images into kinds, in both states.

    Args:
        fact: class, split, or the manifest's column.
        before: kind -> number of images.
        after: kind -> number of images.
        distance: total variation: the share of images that would have to be of another kind for the same proportions.
    """

    fact: str
    before: Mapping[str, int]
    after: Mapping[str, int]
    distance: float


def number_shifts(found: Difference) -> tuple[NumberShift, ...]:
    """Return the numbers that both manifests record; empty where one of them is not here."""
    import numpy as np

    before, after = found.before.recorded, found.after.recorded
    if before is None or after is None:
        return ()
    came = {entry.path for entry in found.images.added} | {pair.after.path for pair in found.images.changed}
    facts = [fact for fact in before.numbers if fact in after.numbers]
    is_new = np.fromiter((path in came for path in after.paths), dtype=bool, count=len(after.paths))
    return tuple(
        _number(fact, _finite(before.numbers[fact]), after.numbers[fact], is_new, len(facts)) for fact in facts
    )


def kind_shifts(found: Difference) -> tuple[KindShift, ...]:
    """Return the proportions of classes, of splits where they are known, and of kinds that both manifests record."""
    sides = found.entries_before, found.entries_after
    if not all(sides):
        return ()
    classes = [[entry.class_name for entry in side] for side in sides]
    shifts = [_kind("class", *classes)] if any(classes[0]) else []
    if found.splits_known:
        shifts.append(_kind("split", *([entry.split for entry in side if entry.split] for side in sides)))
    before, after = found.before.recorded, found.after.recorded
    if before is None or after is None:
        return tuple(shifts)
    shared = [name for name in before.kinds if name in after.kinds]
    few = [name for name in shared if len({*before.kinds[name], *after.kinds[name]}) <= _MOST_KINDS]
    return (*shifts, *(_kind(name, before.kinds[name], after.kinds[name]) for name in few))


def _number(
    fact: str, before: "NDArray[np.float64]", after: "NDArray[np.float64]", is_new: "NDArray[np.bool_]", n_facts: int
) -> NumberShift:
    newcomers = shift_of(before, _finite(after[is_new]))
    apart = newcomers is not None and newcomers.p_value < _LEVEL / n_facts and newcomers.distance >= _DISTANCE
    return NumberShift(fact, shift_of(before, _finite(after)), newcomers, apart)


def _finite(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    return values[np.isfinite(values)]


def _kind(fact: str, before: "list[str] | tuple[str, ...]", after: "list[str] | tuple[str, ...]") -> KindShift:
    counts = dict(Counter(before)), dict(Counter(after))
    return KindShift(fact, *counts, total_variation(*counts))
