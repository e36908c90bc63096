"""Splits: decided once and kept, groups whole, classes stratified within rounding, whatever the order."""

import hashlib
import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.data.splits import assign_splits
from transfer.errors import UserError

SEEDS = st.integers(0, 2**32 - 1)
SPLITS = ("train", "val", "test")


def _digests(n: int, salt: str = "") -> list[str]:
    return [hashlib.sha256(f"{salt}{index}".encode()).hexdigest() for index in range(n)]


def _assign(
    digests: list[str],
    names: list[str],
    groups: list[str] | None = None,
    kept: dict[str, str] | None = None,
    seed: int = 0,
    val: float = 0.2,
    test: float = 0.2,
) -> tuple[str, ...]:
    own = digests if groups is None else groups
    return assign_splits(digests, names, own, kept or {}, seed=seed, val_fraction=val, test_fraction=test)


def _by_group(groups: list[str], splits: tuple[str, ...]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        found[group].add(split)
    return found


@given(seed=SEEDS, n_before=st.integers(3, 60), n_added=st.integers(1, 60), test=st.sampled_from((0.0, 0.2)))
def test_no_image_ever_changes_side_and_new_ones_fill_what_is_missing(
    seed: int, n_before: int, n_added: int, test: float
) -> None:
    before, added = _digests(n_before), _digests(n_added, "new")
    old = _assign(before, ["a"] * n_before, seed=seed, test=test)
    kept = dict(zip(before, old, strict=True))
    grown = added + before
    new = _assign(grown, ["a"] * len(grown), kept=kept, seed=seed, test=test)
    assert new[n_added:] == old
    counts, wanted = Counter(new), max(1, int(0.2 * len(grown) + 0.5))
    reachable = max(wanted, Counter(old)["val"])
    assert abs(counts["val"] - reachable) <= 1 or Counter(old)["val"] > wanted


@given(seed=SEEDS, removed=st.integers(1, 20))
def test_an_image_that_was_away_comes_back_to_its_side(seed: int, removed: int) -> None:
    digests = _digests(40)
    old = _assign(digests, ["a"] * 40, seed=seed)
    kept = dict(zip(digests, old, strict=True))
    rest = digests[removed:] + _digests(removed, "new")
    kept |= dict(zip(rest, _assign(rest, ["a"] * 40, kept=kept, seed=seed), strict=True))
    assert _assign(digests, ["a"] * 40, kept=kept, seed=seed) == old


@given(
    seed=SEEDS,
    sizes=st.lists(st.integers(3, 80), min_size=1, max_size=6),
    val=st.floats(0.05, 0.45),
    test=st.floats(0.05, 0.45),
)
def test_every_class_is_stratified_within_rounding(seed: int, sizes: list[int], val: float, test: float) -> None:
    names = [f"{label}" for label, size in enumerate(sizes) for _ in range(size)]
    splits = _assign(_digests(len(names)), names, seed=seed, val=val, test=test)
    for label, size in enumerate(sizes):
        counts = Counter(split for name, split in zip(names, splits, strict=True) if name == f"{label}")
        assert set(counts) == set(SPLITS)
        for split, share in (("val", val), ("test", test)):
            assert abs(counts[split] - size * share) <= 0.5 + 1e-9 or counts[split] == 1 or counts["train"] == 1


@given(
    seed=SEEDS,
    sizes=st.lists(st.integers(1, 12), min_size=10, max_size=40),
    n_classes=st.integers(1, 3),
)
def test_groups_stay_whole_and_no_class_lacks_a_split(seed: int, sizes: list[int], n_classes: int) -> None:
    groups = [f"g{place}" for place, size in enumerate(sizes) for _ in range(size)]
    names = [f"c{place % n_classes}" for place, size in enumerate(sizes) for _ in range(size)]
    splits = _assign(_digests(len(groups)), names, groups, seed=seed)
    assert all(len(found) == 1 for found in _by_group(groups, splits).values())
    for name in set(names):
        assert {split for own, split in zip(names, splits, strict=True) if own == name} == set(SPLITS)


def test_groups_of_one_size_are_shared_out_exactly() -> None:
    groups = [f"patient {place}" for place in range(50) for _ in range(10)]
    counts = Counter(_assign(_digests(500), ["a"] * 500, groups))
    assert counts == {"train": 300, "val": 100, "test": 100}


@given(seed=SEEDS, order=st.randoms(use_true_random=False))
def test_groups_come_as_near_to_the_shares_as_the_largest_allows(seed: int, order: random.Random) -> None:
    sizes = [order.randint(1, 9) for _ in range(60)]
    groups = [f"g{place}" for place, size in enumerate(sizes) for _ in range(size)]
    counts = Counter(_assign(_digests(len(groups)), ["a"] * len(groups), groups, seed=seed))
    for split, share in (("val", 0.2), ("test", 0.2)):
        assert abs(counts[split] - share * len(groups)) <= 9


@given(seed=SEEDS, order=st.randoms(use_true_random=False), n_images=st.integers(6, 30))
def test_the_order_of_the_images_is_of_no_account(seed: int, order: random.Random, n_images: int) -> None:
    digests = _digests(n_images)
    groups = [f"{place // 2}" for place in range(n_images)]
    places = order.sample(range(n_images), n_images)
    straight = _assign(digests, ["a"] * n_images, groups, seed=seed)
    mixed = _assign([digests[at] for at in places], ["a"] * n_images, [groups[at] for at in places], seed=seed)
    assert mixed == tuple(straight[at] for at in places)


@given(seed=SEEDS, shared=st.integers(1, 6))
def test_identical_content_shares_a_split_whatever_its_class(seed: int, shared: int) -> None:
    common = _digests(shared)
    digests = [*common, *_digests(5, "a"), *common, *_digests(5, "b"), *common]
    names = ["a"] * (shared + 5) + ["b"] * (shared + 5) + ["a"] * shared
    splits = _assign(digests, names, seed=seed)
    assert splits[:shared] == splits[shared + 5 : 2 * shared + 5] == splits[-shared:]


@pytest.mark.parametrize("side", SPLITS)
def test_what_joins_a_known_group_goes_to_its_side(side: str) -> None:
    digests = _digests(12)
    groups = ["known", "known", *digests[2:]]
    assert _assign(digests, ["a"] * 12, groups, {digests[0]: side})[1] == side


def test_what_joins_images_of_two_sides_goes_to_training_and_moves_neither() -> None:
    digests = _digests(12)
    groups = ["known"] * 3 + digests[3:]
    kept = {digests[0]: "test", digests[1]: "train"}
    assert _assign(digests, ["a"] * 12, groups, kept)[:3] == ("test", "train", "train")


def test_the_seed_changes_who_is_held_out() -> None:
    digests, names = _digests(200), ["a"] * 200
    assert _assign(digests, names, seed=0) != _assign(digests, names, seed=1)
    groups = [f"{place // 4}" for place in range(200)]
    assert _assign(digests, names, groups, seed=0) != _assign(digests, names, groups, seed=1)


def test_a_changed_fraction_keeps_the_images_that_both_hold_out() -> None:
    digests, names = _digests(500), ["a"] * 500
    small, large = _assign(digests, names, test=0.1), _assign(digests, names, test=0.2)
    assert all(after == "test" for before, after in zip(small, large, strict=True) if before == "test")


def test_single_images_are_held_out_in_the_order_of_a_hash_of_seed_and_content() -> None:
    digests = _digests(50)
    drawn = sorted(digests, key=lambda digest: hashlib.sha256(f"7:{digest}".encode()).hexdigest())
    found = dict(zip(digests, _assign(digests, ["a"] * 50, seed=7), strict=True))
    assert [found[digest] for digest in drawn] == ["test"] * 10 + ["val"] * 10 + ["train"] * 30


def test_no_test_split_is_drawn_where_the_user_gave_one() -> None:
    assert Counter(_assign(_digests(50), ["a"] * 50, test=0.0)) == {"train": 40, "val": 10}


@pytest.mark.parametrize(
    ("digests", "groups", "sentence"),
    [
        (["aa"], None, r"Class 'b' has 1 usable file, but needs at least 3"),
        (["aa", "bb"], None, r"Class 'b' has 2 usable files, but needs at least 3"),
        (["aa", "aa", "bb"], None, r"Class 'b' has 2 usable files that may be told apart \(3 with copies and others"),
        (["aa", "bb", "cc"], ["p", "p", "p"], r"Class 'b' has 1 usable file that may be told apart \(3 with"),
    ],
)
def test_too_small_a_class_is_named_with_its_size(digests: list[str], groups: list[str] | None, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _assign([*_digests(9), *digests], ["a"] * 9 + ["b"] * len(digests), [*_digests(9), *(groups or digests)])


def test_classes_made_of_the_same_files_cannot_all_be_served() -> None:
    one, two, three, four, five = _digests(5)
    digests = [one, two, three, one, two, four, one, three, four, two, three, five]
    splits = None
    try:
        splits = _assign(digests, ["a"] * 3 + ["b"] * 3 + ["c"] * 3 + ["d"] * 3)
    except UserError as error:
        assert "identical files" in str(error)  # noqa: PT017  either answer is right, a half-served class is not
    if splits:
        assert all(len(set(splits[start : start + 3])) == 3 for start in (0, 3, 6, 9))


def test_a_class_whose_images_all_have_a_side_is_left_as_it_is() -> None:
    digests = _digests(12)
    kept = dict.fromkeys(digests[:4], "train")
    assert _assign(digests, ["a"] * 4 + ["b"] * 8, kept=kept)[:4] == ("train",) * 4


@pytest.mark.parametrize(("val", "test"), [(0.0, 0.2), (0.5, 0.5), (1.2, 0.0), (0.2, -0.1)])
def test_fractions_that_leave_nothing_are_refused(val: float, test: float) -> None:
    with pytest.raises(UserError, match="leave no room for training"):
        _assign(_digests(9), ["a"] * 9, val=val, test=test)
