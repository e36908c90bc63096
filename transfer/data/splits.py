"""Assign examples to training, validation and test by their content, so that a growing data set moves hardly any."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from transfer.errors import UserError

_SCALE = float(1 << 64)
_FILLED_IN_TURN = ("train", "test", "val")


def assign_splits(
    digests: Sequence[str], class_names: Sequence[str], *, seed: int, val_fraction: float, test_fraction: float
) -> tuple[str, ...]:
    """Give every example a split that depends on its own content, as far as its class allows.

    An example's position, a number in [0, 1) drawn by hashing the seed with its digest, falls into [0, test_fraction)
    for test, the next val_fraction for validation, the rest for training. Identical content always shares a split,
    whatever its class. Where content gives a class none in a split, others of the class stand in: the one of highest
    position for training, the one of lowest for test, for validation one of test where test can spare it.

    Adding examples moves none of a class to which content gives some in every split. In a class that lacks some,
    examples move as it grows; one leaves training only if it stood in there, for a class to which content gave no
    training example, as happens to (val_fraction + test_fraction) ** n of the classes of n examples. Both hold for
    classes that share no content; each class keeps an example in every split in any case.

    Args:
        digests: content hash of each example, hexadecimal.
        class_names: class of each example, as many.
        seed: of the draw.
        val_fraction: expected share of validation examples, in (0, 1).
        test_fraction: expected share of test examples, in [0, 1); 0 when the test examples are given separately.

    Returns:
        "train", "val" or "test" for each example.

    Raises:
        UserError: a class has too few distinct examples to have one in each split, or shares too many with others.
    """
    intervals = _intervals(val_fraction, test_fraction)
    position = {digest: _position(digest, seed) for digest in digests}
    split = {digest: _within(place, intervals) for digest, place in position.items()}
    members: dict[str, set[str]] = defaultdict(set)
    for digest, class_name in zip(digests, class_names, strict=True):
        members[class_name].add(digest)
    _refuse_small(members, Counter(class_names), len(intervals))
    for class_name in sorted(members):
        for name in (name for name in _FILLED_IN_TURN if name in intervals):
            if all(split[digest] != name for digest in members[class_name]):
                split[_stand_in(name, class_name, members, split, position)] = name
    return tuple(split[digest] for digest in digests)


def _intervals(val_fraction: float, test_fraction: float) -> dict[str, tuple[float, float]]:
    if not (0.0 < val_fraction < 1.0 and test_fraction >= 0.0 and val_fraction + test_fraction < 1.0):
        raise UserError(
            f"val_fraction {val_fraction} and test_fraction {test_fraction} leave no room for training; "
            "both must be positive and their sum below 1."
        )
    held_out = val_fraction + test_fraction
    spans = {"train": (held_out, 1.0), "val": (test_fraction, held_out), "test": (0.0, test_fraction)}
    return {name: (low, high) for name, (low, high) in spans.items() if high > low}


def _position(digest: str, seed: int) -> float:
    drawn = hashlib.sha256(f"{seed}:{digest}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") / _SCALE


def _within(place: float, intervals: Mapping[str, tuple[float, float]]) -> str:
    return next((name for name, (low, high) in intervals.items() if low <= place < high), "train")


def _refuse_small(members: Mapping[str, set[str]], n_examples: Mapping[str, int], n_splits: int) -> None:
    for class_name, digests in sorted(members.items()):
        if len(digests) < n_splits:
            copies = n_examples[class_name] - len(digests)
            raise UserError(
                f"Class {class_name!r} has {len(digests)} usable file{'' if len(digests) == 1 else 's'}"
                f"{f' (not counting {copies} identical copies)' if copies else ''}, but needs at least {n_splits}, "
                f"one for each of {n_splits} splits; add files to the class or remove its folder."
            )


def _stand_in(
    name: str,
    class_name: str,
    members: Mapping[str, set[str]],
    split: Mapping[str, str],
    position: Mapping[str, float],
) -> str:
    """Return the digest of a class that moves to the split `name`, which has none of the class.

    Training never gives one up that validation could get from test: that keeps what was trained on in training.
    """
    movable = _movable(name, class_name, members, split)
    if not movable:
        raise UserError(
            f"Class {class_name!r} shares too many identical files with other classes to have its own in every split; "
            "remove the copies or add files to the class."
        )
    upwards = sorted(movable, key=lambda digest: (position[digest], digest))
    if name == "train":
        return upwards[-1]
    of_test = [digest for digest in upwards if split[digest] == "test"]
    return of_test[-1] if of_test else upwards[0]


def _movable(name: str, class_name: str, members: Mapping[str, set[str]], split: Mapping[str, str]) -> list[str]:
    """Return the digests of a class that no class containing them would miss in the split they are in.

    The class itself may be left without validation while training or test is filled: validation is filled last.
    """
    crowded = {
        other: {place for place, n in Counter(split[digest] for digest in digests).items() if n > 1}
        for other, digests in members.items()
        if not digests.isdisjoint(members[class_name])
    }
    if name != "val":
        crowded[class_name].add("val")
    return [
        digest
        for digest in members[class_name]
        if all(split[digest] in places for other, places in crowded.items() if digest in members[other])
    ]
