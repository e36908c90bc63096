"""Names of classes that are mistaken for each other, against brute force over all pairs."""

import itertools
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transfer.data.class_names import distinct, folded, no_folder, numbers_in_order, tidy, unlike


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cat", "cat"), ("hot dog", "hot_dog"), ("hot-dog", "HotDog"), (" cat", "cat"), ("cat\u200b", "cat"),
        ("caf\u00e9", "cafe\u0301"), ("STRASSE", "stra\u00dfe"), ("\ufb01sh", "fish"), ("\uff23\uff41\uff54", "cat"),
    ],
)  # fmt: skip
def test_names_that_look_the_same_are_found(one: str, other: str) -> None:
    assert distinct([one, "bird", other]) == [False, True, False]


def test_names_that_differ_are_distinct_and_unlike() -> None:
    names = ["ant", "bee", "class_1", "class_2", "class_12", "zebra", "panda", "a", "b"]
    assert distinct(names) == [True] * len(names)
    assert unlike(names) == [True] * len(names)


@pytest.mark.parametrize(
    ("one", "other"), [("airplane", "airplanes"), ("giraffe", "girafe"), ("guitar", "giutar"), ("horse", "house")]
)
def test_a_spelling_error_is_found(one: str, other: str) -> None:
    assert unlike([one, "bird", other]) == [False, True, False]


def _distance(one: str, other: str) -> int:
    """Return the optimal string alignment distance by its recurrence, without a shortcut."""
    rows = {(i, 0): i for i in range(len(one) + 1)} | {(0, j): j for j in range(len(other) + 1)}
    for i, j in itertools.product(range(1, len(one) + 1), range(1, len(other) + 1)):
        rows[i, j] = min(
            rows[i - 1, j] + 1, rows[i, j - 1] + 1, rows[i - 1, j - 1] + (one[i - 1] != other[j - 1])
        )  # fmt: skip
        if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
            rows[i, j] = min(rows[i, j], rows[i - 2, j - 2] + 1)
    return rows[len(one), len(other)]


@given(st.lists(st.text("abc", min_size=4, max_size=6), min_size=2, max_size=8, unique=True))
def test_unlike_is_what_the_distance_of_every_pair_says(names: list[str]) -> None:
    alike = {name for one, other in itertools.combinations(names, 2) if _distance(one, other) == 1
             for name in (one, other)}  # fmt: skip
    assert unlike(names) == [name not in alike for name in names]


@given(st.text())
@example("A\u00b4")
@example("\u0345 \u0301")
def test_folding_again_changes_nothing(name: str) -> None:
    assert folded(folded(name)) == folded(name)
    assert folded(unicodedata.normalize("NFD", name)) == folded(name)


@pytest.mark.parametrize("name", [" cat", "cat ", "hot  dog", "cat\t", "ca\u200bt", "\ufeffcat", "cat\u202e", ""])
def test_blanks_and_what_nobody_sees_are_untidy(name: str) -> None:
    assert tidy(name) == (name == "")


@pytest.mark.parametrize("name", ["cat", "hot dog", "caf\u00e9", "\u732b", "\u0645\u06cc\u200c\u062e"])
def test_names_of_any_script_are_tidy(name: str) -> None:
    assert tidy(name)


def test_folders_of_splits_and_tools_are_no_classes() -> None:
    assert [no_folder(name) for name in ("train", "Images", "__MACOSX", ".git", "New Folder")] == [False] * 5
    assert [no_folder(name) for name in ("trainer", "image of a cat", "mask", "other")] == [True] * 4


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (["0", "1", "2"], [True] * 3),
        (["01", "02", "10"], [True] * 3),
        (["1", "10", "2"], [True, False, False]),
        (["1", "cat", "dog"], [False, True, True]),
        (["1", "2", "3", "dog"], [True, True, True, False]),
        (["\u00b2", "cat"], [True, True]),
        (["cat", "dog"], [True, True]),
    ],
)
def test_numbers_have_to_be_in_the_order_of_the_labels(names: list[str], fits: list[bool]) -> None:
    assert numbers_in_order(names) == fits
