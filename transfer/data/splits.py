"""Assign images to training, validation and test: groups whole, classes stratified, what was decided before kept."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from transfer.errors import UserError

Sides = dict[str, str]
Placed = dict[str, Counter[str]]  # class -> split -> images

_SCALE = float(1 << 64)
_STRONGEST_FIRST = ("train", "val", "test")  # the side of what joins images of several
_FILLED_IN_TURN = ("train", "test", "val")


@dataclass(frozen=True, slots=True)
class _Group:
    """Images that stay together and have no side yet.

    Args:
        name: of the group.
        position: in [0, 1), drawn by hashing the seed with its least digest.
        n_images: class -> images of it.
    """

    name: str
    position: float
    n_images: Mapping[str, int]

    @property
    def size(self) -> int:
        """Return how many images it holds."""
        return sum(self.n_images.values())


def assign_splits(
    digests: Sequence[str],
    class_names: Sequence[str],
    groups: Sequence[str],
    kept: Mapping[str, str],
    *,
    seed: int,
    val_fraction: float,
    test_fraction: float,
) -> tuple[str, ...]:
    """Give every image a split: what was decided before, else where its class lacks most.

    Each class gets its share in every split, rounded, one at least. What shares a group with images of a side goes there
    (training first); other groups, the larger first, then single images by a hash of seed and digest, fill the rest.

    Args:
        digests: content hash of each image, hexadecimal.
        class_names: class of each.
        groups: group of each; identical content has to share one.
        kept: digest -> side decided before; of other images too.
        seed: of the draw.
        val_fraction: share of validation images, in (0, 1).
        test_fraction: share of test images, in [0, 1); 0 when they are given separately.

    Returns:
        "train", "val" or "test" for each image.

    Raises:
        UserError: a class has too few groups to have one in each split, or shares too many with others.
    """
    shares = _shares(val_fraction, test_fraction)
    _refuse_small(class_names, groups, len(shares))
    sides: Sides = {digest: kept[digest] for digest in digests if digest in kept}
    by_group = _sides_of_groups(digests, groups, sides)
    placed = _placed(digests, class_names, groups, sides, by_group)
    new = _new_groups(digests, class_names, groups, by_group, seed)
    drawn = _place(new, class_names, shares, placed)
    _fill_empty(new, drawn, placed, tuple(shares), _classes_of(by_group, groups, class_names))
    by_group |= drawn
    return tuple(sides.get(digest, by_group[group]) for digest, group in zip(digests, groups, strict=True))


def _placed(
    digests: Sequence[str], class_names: Sequence[str], groups: Sequence[str], sides: Sides, by_group: Sides
) -> Placed:
    """Count what has a side, by class and split."""
    placed: Placed = defaultdict(Counter)
    for digest, class_name, group in zip(digests, class_names, groups, strict=True):
        if group in by_group:
            placed[class_name][sides.get(digest, by_group[group])] += 1
    return placed


def _shares(val_fraction: float, test_fraction: float) -> dict[str, float]:
    if not (0.0 < val_fraction < 1.0 and test_fraction >= 0.0 and val_fraction + test_fraction < 1.0):
        raise UserError(
            f"val_fraction {val_fraction} and test_fraction {test_fraction} leave no room for training; "
            "both must be positive and their sum below 1."
        )
    held_out = {"test": test_fraction, "val": val_fraction}
    return {"train": 1.0 - val_fraction - test_fraction, **{name: share for name, share in held_out.items() if share}}


def _refuse_small(class_names: Sequence[str], groups: Sequence[str], n_splits: int) -> None:
    own: dict[str, set[str]] = defaultdict(set)
    for class_name, group in zip(class_names, groups, strict=True):
        own[class_name].add(group)
    for class_name, n_images in sorted(Counter(class_names).items()):
        n_groups = len(own[class_name])
        if n_groups < n_splits:
            apart = f" that may be told apart ({n_images} with copies and others of the same group)"
            raise UserError(
                f"Class {class_name!r} has {n_groups} usable file{'' if n_groups == 1 else 's'}"
                f"{apart if n_images > n_groups else ''}, but needs at least {n_splits}, "
                f"one for each of {n_splits} splits; add files to the class or remove its folder."
            )


def _sides_of_groups(digests: Sequence[str], groups: Sequence[str], sides: Sides) -> Sides:
    """Return group -> side, for groups of which an image has one."""
    found: Sides = {}
    for digest, group in zip(digests, groups, strict=True):
        if digest in sides:
            known = (sides[digest], found.get(group, sides[digest]))
            found[group] = min(known, key=_STRONGEST_FIRST.index)
    return found


def _wanted(n_images: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return split -> images, whole numbers of at least 1, held-out ones rounded to the nearest."""
    held_out: dict[str, int] = {}
    for place, (name, share) in enumerate(list(shares.items())[1:]):
        spare = n_images - sum(held_out.values()) - (len(shares) - 1 - place)
        held_out[name] = max(1, min(int(n_images * share + 0.5), spare))
    return {"train": n_images - sum(held_out.values()), **held_out}


def _new_groups(
    digests: Sequence[str], class_names: Sequence[str], groups: Sequence[str], known: Mapping[str, str], seed: int
) -> list[_Group]:
    least: dict[str, str] = {}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for digest, class_name, group in zip(digests, class_names, groups, strict=True):
        if group not in known:
            least[group] = min(digest, least.get(group, digest))
            counts[group][class_name] += 1
    return [_Group(group, _position(least[group], seed), counts[group]) for group in sorted(counts)]


def _position(digest: str, seed: int) -> float:
    drawn = hashlib.sha256(f"{seed}:{digest}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") / _SCALE


def _place(new: Sequence[_Group], class_names: Sequence[str], shares: Mapping[str, float], placed: Placed) -> Sides:
    """Put every new group into a split, those of several images first."""
    wanted = {name: _wanted(n_images, shares) for name, n_images in Counter(class_names).items()}
    drawn = _place_groups([group for group in new if group.size > 1], wanted, placed)
    return drawn | _place_singles([group for group in new if group.size == 1], wanted, placed)


def _place_groups(groups: Iterable[_Group], wanted: Mapping[str, Mapping[str, int]], placed: Placed) -> Sides:
    """Put groups where their classes lack most, the larger ones first; those of about a size by their position."""
    found: Sides = {}
    for group in sorted(groups, key=lambda one: (-one.size.bit_length(), one.position)):
        lacking = {
            split: sum(
                n_images * (wanted[name][split] - placed[name][split]) for name, n_images in group.n_images.items()
            )
            for split in next(iter(wanted.values()))
        }
        found[group.name] = max(lacking, key=lambda split: lacking[split])
        _put(group, found[group.name], placed)
    return found


def _place_singles(groups: Iterable[_Group], wanted: Mapping[str, Mapping[str, int]], placed: Placed) -> Sides:
    """Fill what each class lacks with its single images, the lowest positions to test, the next to validation."""
    by_class: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        by_class[next(iter(group.n_images))].append(group)
    found: Sides = {}
    for name, members in sorted(by_class.items()):
        amounts = _amounts(len(members), wanted[name], placed[name])
        ordered = iter(sorted(members, key=lambda one: (one.position, one.name)))
        for split in ("test", "val", "train"):
            for _ in range(amounts.get(split, 0)):
                group = next(ordered)
                found[group.name] = split
                _put(group, split, placed)
    return found


def _amounts(n_images: int, wanted: Mapping[str, int], placed: Mapping[str, int]) -> dict[str, int]:
    """Return how many of some images each split gets: what it lacks, or as large a part of that as there are images."""
    lacking = {split: max(0, number - placed[split]) for split, number in wanted.items()}
    excess = sum(lacking.values()) - n_images
    while excess > 0:
        largest = max(lacking, key=lambda split: lacking[split])
        lacking[largest] -= 1
        excess -= 1
    return lacking


def _put(group: _Group, split: str, placed: Placed, sign: int = 1) -> None:
    for name, n_images in group.n_images.items():
        placed[name][split] += sign * n_images


def _classes_of(known: Mapping[str, str], groups: Sequence[str], class_names: Sequence[str]) -> frozenset[str]:
    return frozenset(name for name, group in zip(class_names, groups, strict=True) if group in known)


def _fill_empty(
    new: Sequence[_Group], drawn: Sides, placed: Placed, splits: Sequence[str], kept_classes: frozenset[str]
) -> None:
    """Give each class an image in every split, where groups that span classes or are large left it without."""
    for class_name in sorted(placed):
        for split in (name for name in _FILLED_IN_TURN if name in splits):
            if placed[class_name][split]:
                continue
            movable = [group for group in new if _can_leave(group, class_name, drawn[group.name], split, placed)]
            if movable:
                chosen = min(movable, key=lambda one: (one.size, one.position, one.name))
                _put(chosen, drawn[chosen.name], placed, sign=-1)
                _put(chosen, split, placed)
                drawn[chosen.name] = split
            elif class_name not in kept_classes:  # what has a side keeps it: validation tells of the empty split
                raise UserError(
                    f"Class {class_name!r} shares too many identical files or groups with other classes to have its "
                    "own in every split; remove the copies or add files to the class."
                )


def _can_leave(group: _Group, class_name: str, place: str, split: str, placed: Placed) -> bool:
    """Say whether no class would miss a group in the split it is in.

    The class itself may be left without validation while training or test is filled: validation is filled last.
    """
    if class_name not in group.n_images:
        return False
    return all(
        placed[name][place] > n_images or (name == class_name and place == "val" != split)
        for name, n_images in group.n_images.items()
    )
