"""Class names from columns of labels: what is taken, in which order, and what names several classes at once."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.data.labels import class_names, flags_among, in_order, most_flags, text_of
from transfer.errors import UserError


def _names(*values: Any) -> tuple[str, ...]:
    return class_names(values, [f"{place}.png" for place in range(len(values))], "labels.csv")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (("ant", " bee ", "ant"), ("ant", "bee", "ant")),
        ((0, 1, 10), ("0", "1", "10")),
        (("0", "1.0", "02"), ("0", "1", "2")),
        ((1.0, 2.0), ("1", "2")),
        ((True, False), ("true", "false")),
        (("1", "2", "other"), ("1", "2", "other")),
        (("=1+1", "@SUM(A1)"), ("=1+1", "@SUM(A1)")),
        (("cat (big, fat)", "dog"), ("cat (big, fat)", "dog")),
        (("Lemur, brown", "Lemur, ring-tailed", "Finch, gold"), ("Lemur, brown", "Lemur, ring-tailed", "Finch, gold")),
        (("hot dog", "sausage dog", "sausage"), ("hot dog", "sausage dog", "sausage")),
    ],
)
def test_labels_become_names(values: tuple[Any, ...], names: tuple[str, ...]) -> None:
    assert _names(*values) == names


def test_a_name_for_every_combination_of_two_words_is_one_label() -> None:
    names = [f"{colour} {kind}" for colour, kind in product(("red", "blue", "green"), ("car", "bus", "van"))]
    assert _names(*names) == tuple(names)


def test_whole_numbers_are_in_order_of_their_values() -> None:
    assert in_order(["10", "9", "2", "2"]) == ("2", "9", "10")
    assert in_order(["b", "10", "9"]) == ("10", "9", "b")


@given(st.lists(st.integers(-5, 300), min_size=1))
def test_numbers_written_in_any_way_are_the_same_classes(numbers: list[int]) -> None:
    expected = tuple(map(str, numbers))
    assert _names(*numbers) == expected
    assert _names(*map(float, numbers)) == expected
    assert _names(*(f" {number}.0" for number in numbers)) == expected


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (("1" * 5000, "2"), r"gives 0.png a label of 5,000 characters, and a class's name has at most 255; write"),
        (
            ("a", ["a", "b"]),
            r"gives 1.png the label \['a', 'b'\], a list, as for several classes at once \(multi-label",
        ),
        (("a", "['a', 'b']"), r"1.png .* \(multi-label\)"),
        (('["a"]', "b"), r"0.png .* \(multi-label\)"),
        (("(1, 2)", "1"), r"0.png .* \(multi-label\)"),
        (("a", {"x": 1}), r"multi-label"),
        (("cat", "dog", "cat|dog"), r"2.png the label 'cat\|dog', which seems to name several .*separated by '\|'"),
        (("cat", "dog", "dog; cat"), r"separated by ';'"),
        (("a,b", "a,c", "b,c", "a,b,c"), r"separated by ','"),
        (("clear", "primary", "clear primary"), r"separated by ' '"),
        (("a", ""), r"gives 1.png no label; give every image one label, or remove the row"),
        (("a", None), r"no label"),
        (("a", float("nan")), r"no label"),
        (("0.5", "1.25"), r"numbers with fractions \(0.5, \.\.\.\), but classes are needed"),
        ((1e-3, 2.0), r"numbers with fractions"),
    ],
)
def test_what_is_no_single_label_is_refused(values: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _names(*values)


def test_columns_of_zero_and_one_are_told_apart() -> None:
    columns: dict[str, Any] = {
        "cat": ["0", "1"], "dog": [1.0, 0.0], "flag": [True, False], "ones": ["1", "1"], "n": [0, 2], "l": [[0], [1]]
    }  # fmt: skip
    assert flags_among(columns) == ("cat", "dog", "flag", "ones")
    assert most_flags([columns["cat"], columns["dog"]]) == 1
    assert most_flags([columns["dog"], columns["flag"]]) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (float("nan"), ""), (3.0, "3"), (0.5, "0.5"), (" a ", "a"), (True, "true"), (7, "7")],
)
def test_cells_as_texts(value: Any, text: str) -> None:
    assert text_of(value) == text
