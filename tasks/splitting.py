"""Which images are copies of one another, and on which side of the splits each one is: decided once and kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.described_files import DescribedFile
from adapters.image_files import scan_recipe
from adapters.kept_copies import copies_of
from adapters.split_ledger import (
    GIVEN,
    LEDGER,
    Decision,
    Ledger,
    decided,
    decided_of_groups,
    draw_name,
    read_ledger,
    with_decisions,
    write_ledger,
)
from tasks.params_blocks import ManifestParams
from tasks.progress import progress
from transfer.data.splits import assign_splits

if TYPE_CHECKING:
    from transfer.data.groups import Copies
    from transfer.data.near_duplicates import Found, Known


@dataclass(frozen=True, slots=True)
class Side:
    """Where an image is, and which ones it belongs to.

    Args:
        split: "train", "val" or "test".
        group: name of the images that it has to stay with: copies, and those of the user's group.
        copies: name of the images that show the same.
        first_split: where it was put first; another one than `split` where the user has moved it.
    """

    split: str
    group: str
    copies: str
    first_split: str


@dataclass(frozen=True, slots=True)
class _Draw:
    """Images without a given side, and what is to be drawn for them.

    Args:
        name: in the ledger.
        entries: the images.
        groups: name of the group of each.
        test_fraction: 0 where the test images are given.
    """

    name: str
    entries: Sequence[DescribedFile]
    groups: Sequence[str]
    test_fraction: float


def sides_of(
    data_path: Path, usable: Sequence[DescribedFile], given: Sequence[str], params: ManifestParams
) -> dict[str, Side]:
    """Return path -> side of the readable files, and write down in the ledger what is new.

    Args:
        data_path: the data set's folder.
        usable: files that decode.
        given: the splits that the user's folders or table assign.
        params: of the stage.

    Raises:
        UserError: a class is too small to be split, or the ledger is damaged or gone.
    """
    from transfer.data.groups import join_groups

    ledger, digests = read_ledger(Path.cwd()), [entry.content.sha256 for entry in usable]
    copies = _copies(data_path, usable, params)
    groups = join_groups(digests, copies.names, [entry.found.group for entry in usable])
    draw = _draw(usable, groups, given, params)
    splits = {entry.found.path: entry.found.split for entry in usable} | _drawn(draw, ledger, params)
    written = with_decisions(ledger, draw.name, _decisions(draw.entries, splits))
    write_ledger(Path.cwd(), with_decisions(written, GIVEN, _given(usable)))
    first = decided(ledger, GIVEN, [entry.content.sha256 for entry in usable if entry.found.split])
    sides = {}
    for entry, group, name in zip(usable, groups, copies.names, strict=True):
        split, stated = splits[entry.found.path], entry.found.split
        moved_from = first.get(entry.content.sha256, stated) if stated else ""
        sides[entry.found.path] = Side(split, group, name, split if moved_from == stated else moved_from)
    _say(digests, copies, draw, ledger)
    return sides


def _copies(data_path: Path, usable: Sequence[DescribedFile], params: ManifestParams) -> "Copies":
    """Put images of the same content together, and near-duplicates unless the user wants none to be sought."""
    import numpy as np

    from transfer.data.facts import THUMBNAIL, THUMBNAIL_SIDE
    from transfer.data.groups import group_copies
    from transfer.data.near_duplicates import near_duplicates

    digests = [entry.content.sha256 for entry in usable]
    if not params.near_duplicates:
        return group_copies(digests, ())
    images = b"".join(entry.content.facts[THUMBNAIL] for entry in usable)
    pixels = np.frombuffer(images, dtype=np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)

    def seek(known: "Known | None") -> "Found":
        with progress("seeking copies", total=len(usable)) as bar:
            return near_duplicates(pixels, known, bar.advance)

    return group_copies(digests, copies_of(Path.cwd(), data_path, scan_recipe() | {"kind": "copies"}, seek))


def _draw(
    usable: Sequence[DescribedFile], groups: Sequence[str], given: Sequence[str], params: ManifestParams
) -> _Draw:
    """Return the images that no folder or table puts into a split; training images too where no validation is given."""
    open_ones = () if "val" in given else ("", "train")
    drawn = [(one, group) for one, group in zip(usable, groups, strict=True) if one.found.split in open_ones]
    test_fraction = 0.0 if "test" in given else params.test_fraction
    name = draw_name(params.seed, params.val_fraction, test_fraction)
    return _Draw(name, [one for one, _ in drawn], [group for _, group in drawn], test_fraction)


def _drawn(draw: _Draw, ledger: Ledger, params: ManifestParams) -> dict[str, str]:
    """Return path -> split of what is drawn: as the ledger says of the image, else of the user's group, else anew."""
    if not draw.entries:
        return {}
    digests = [entry.content.sha256 for entry in draw.entries]
    by_group = decided_of_groups(ledger, draw.name)
    of_groups = {one.content.sha256: by_group[one.found.group] for one in draw.entries if one.found.group in by_group}
    assigned = assign_splits(
        digests,
        [entry.found.class_name for entry in draw.entries],
        draw.groups,
        of_groups | decided(ledger, draw.name, digests),
        seed=params.seed,
        val_fraction=params.val_fraction,
        test_fraction=draw.test_fraction,
    )
    return {entry.found.path: split for entry, split in zip(draw.entries, assigned, strict=True)}


def _decisions(entries: Sequence[DescribedFile], splits: Mapping[str, str]) -> dict[str, Decision]:
    return {one.content.sha256: Decision(splits[one.found.path], one.found.group) for one in entries}


def _given(usable: Sequence[DescribedFile]) -> dict[str, Decision]:
    """Return digest -> where a folder or table puts it; not of what lies in several splits."""
    stated = {(one.content.sha256, one.found.split): one.found.group for one in usable if one.found.split}
    in_how_many = Counter(digest for digest, _ in stated)
    return {digest: Decision(split, group) for (digest, split), group in stated.items() if in_how_many[digest] == 1}


def _say(digests: Sequence[str], copies: "Copies", draw: _Draw, ledger: Ledger) -> None:
    """Tell how many copies there are, what the limit on groups left apart, and that splits were drawn anew."""
    n_near = sum(count - 1 for count in Counter(copies.names).values()) - (len(digests) - len(set(digests)))
    if n_near:
        stay = "; they stay in one split" if len(draw.entries) == len(digests) else ""
        print(f"{n_near} of {len(digests)} images are near-duplicates of others{stay}.")
    if copies.n_left_apart:
        print(
            f"{copies.n_left_apart} pairs of near-duplicates were left apart: together they would have been more than "
            "a tenth of the images."
        )
    draws = {name for name, _ in ledger} - {GIVEN}
    if draws and draw.entries and draw.name not in draws:
        print(f"The splits are drawn anew ({draw.name}); those drawn before are kept in {LEDGER} for when you go back.")
