"""Which images have to stay on one side of a split: links between them, and what they are joined to by these."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transfer.data.near_duplicates import NearDuplicate

_LEAST_LIMIT, _SHARE = 10, 10  # a group may hold a tenth of the images, and ten in any case


@dataclass(frozen=True, slots=True)
class Copies:
    """Images put together because they show the same.

    Args:
        names: of each image's group: the least digest in it.
        n_left_apart: near-duplicate pairs that are in different groups, because the group would have become too large.
    """

    names: tuple[str, ...]
    n_left_apart: int


def group_copies(digests: Sequence[str], pairs: Iterable[NearDuplicate]) -> Copies:
    """Put images of the same content together, then near-duplicates, the most alike first.

    Near-duplicates make no group of more than a tenth of the images (ten at least): like is joined to like, and along a
    chain of such pairs images would come together that have nothing in common, until nothing is left to split.

    Args:
        digests: content hash of each image.
        pairs: of places in `digests`.
    """
    limit = max(_LEAST_LIMIT, len(digests) // _SHARE)
    sets = _Sets(len(digests))
    first: dict[str, int] = {}
    for place, digest in enumerate(digests):
        sets.join(first.setdefault(digest, place), place)

    def by_content(pair: NearDuplicate) -> tuple[float, str, str]:
        one, other = digests[pair.first], digests[pair.second]
        return (pair.apart, one, other) if one < other else (pair.apart, other, one)

    ordered = sorted(pairs, key=by_content)
    for pair in ordered:
        sets.join(pair.first, pair.second, limit)
    n_left_apart = sum(sets.root(pair.first) != sets.root(pair.second) for pair in ordered)
    return Copies(_named(sets, digests), n_left_apart)


def join_groups(digests: Sequence[str], *names: Sequence[str]) -> tuple[str, ...]:
    """Return groups within which images that share any of several names are together, named by the least digest.

    Args:
        digests: content hash of each image.
        names: of each image, as many; "" joins nothing.
    """
    sets = _Sets(len(digests))
    for kind in names:
        first: dict[str, int] = {}
        for place, name in enumerate(kind):
            if name:
                sets.join(first.setdefault(name, place), place)
    return _named(sets, digests)


class _Sets:
    """Disjoint sets of places, joined two at a time."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))
        self._size = [1] * n

    def root(self, place: int) -> int:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place

    def join(self, one: int, other: int, limit: int | None = None) -> None:
        """Join the sets of two places, unless they would have more than so many."""
        small, large = self.root(one), self.root(other)
        if self._size[small] > self._size[large]:
            small, large = large, small
        size = self._size[small] + self._size[large]
        if small != large and (limit is None or size <= limit):
            self._parent[small] = large
            self._size[large] = size


def _named(sets: _Sets, digests: Sequence[str]) -> tuple[str, ...]:
    roots = [sets.root(place) for place in range(len(digests))]
    least: dict[int, str] = {}
    for root, digest in zip(roots, digests, strict=True):
        least[root] = min(digest, least.get(root, digest))
    return tuple(least[root] for root in roots)
