"""What differs between two states of a data set, told from lists of paths and digests."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a state.

    Args:
        path: relative to the data set's folder, with forward slashes.
        digest: of its content; within a comparison all are of one kind.
        class_name: "" for a file that belongs to no class.
        split: "train", "val" or "test"; "" where that is not known.
    """

    path: str
    digest: str
    class_name: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same file before and after: the same content, or the same path."""

    before: Entry
    after: Entry


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs; each list is sorted by path, a pair by its path after.

    Every entry of the state before is in exactly one of `kept`, `moved`, `changed` and `removed`, every entry of the
    state after in exactly one of `kept`, `moved`, `changed` and `added`.

    Args:
        kept: the same content at the same path.
        moved: the same content at another path.
        changed: another content at the same path.
        added: content that came, at a path that came.
        removed: content that went, with its path.
    """

    kept: tuple[Pair, ...]
    moved: tuple[Pair, ...]
    changed: tuple[Pair, ...]
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]

    @property
    def relabelled(self) -> tuple[Pair, ...]:
        """Return the pairs of the same content whose class is another one."""
        return tuple(one for one in (*self.kept, *self.moved) if one.before.class_name != one.after.class_name)

    @property
    def resplit(self) -> tuple[Pair, ...]:
        """Return the pairs of the same content whose split is known and another one."""
        same = (one for one in (*self.kept, *self.moved) if one.before.split and one.after.split)
        return tuple(one for one in same if one.before.split != one.after.split)


def compare(before: Sequence[Entry], after: Sequence[Entry]) -> Changes:
    """Compare two states; content counts before the path, so that a renumbered folder is moved and not changed.

    Of several files with the same content those are paired first that bear the same name, then those of the same class,
    the others in the order of their paths.

    Args:
        before: no two with the same path.
        after: no two with the same path.
    """
    there = {entry.path: entry for entry in after}
    kept = [Pair(one, there[one.path]) for one in before if _is_same(one, there.get(one.path))]
    stayed = {pair.after.path for pair in kept}
    gone, came = ([one for one in state if one.path not in stayed] for state in (before, after))
    moved: list[Pair] = []
    for alike in (_content_and_name, _content_and_class, _content):
        found, gone, came = _paired(gone, came, alike)
        moved += found
    others = {entry.path: entry for entry in came}
    changed = [Pair(one, others[one.path]) for one in gone if one.path in others]
    both = {pair.after.path for pair in changed}
    return Changes(
        _sorted_pairs(kept),
        _sorted_pairs(moved),
        _sorted_pairs(changed),
        tuple(sorted((one for one in came if one.path not in both), key=_path)),
        tuple(sorted((one for one in gone if one.path not in both), key=_path)),
    )


def copies(changes: Changes, before: Iterable[Entry]) -> tuple[Pair, ...]:
    """Return the added files whose content was there before, each with one that had it: of its own class, if any did.

    Args:
        changes: what differs.
        before: the state before.
    """
    holders: dict[str, dict[str, Entry]] = defaultdict(dict)
    wanted = {entry.digest for entry in changes.added}
    for entry in before:
        if entry.digest in wanted:
            holders[entry.digest].setdefault(entry.class_name, entry)
    return tuple(
        Pair(held.get(one.class_name) or next(iter(held.values())), one)
        for one in changes.added
        if (held := holders.get(one.digest))
    )


def _paired(
    gone: Sequence[Entry], came: Sequence[Entry], alike: Callable[[Entry], object]
) -> tuple[list[Pair], list[Entry], list[Entry]]:
    """Pair what is alike, in the order of the paths; return the pairs and what is left of both."""
    waiting: dict[object, deque[Entry]] = defaultdict(deque)
    for entry in sorted(came, key=_path):
        waiting[alike(entry)].append(entry)
    pairs, left = list[Pair](), list[Entry]()
    for entry in sorted(gone, key=_path):
        candidates = waiting.get(alike(entry))
        if candidates:
            pairs.append(Pair(entry, candidates.popleft()))
        else:
            left.append(entry)
    return pairs, left, [entry for candidates in waiting.values() for entry in candidates]


def _content_and_name(entry: Entry) -> tuple[str, str]:
    return entry.digest, entry.path.rpartition("/")[2]


def _content_and_class(entry: Entry) -> tuple[str, str]:
    return entry.digest, entry.class_name


def _content(entry: Entry) -> str:
    return entry.digest


def _is_same(entry: Entry, other: Entry | None) -> bool:
    return other is not None and entry.digest == other.digest


def _path(entry: Entry) -> str:
    return entry.path


def _sorted_pairs(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    return tuple(sorted(pairs, key=lambda pair: pair.after.path))
