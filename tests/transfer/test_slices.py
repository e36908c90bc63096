"""Slices: how values are cut, what is claimed of them and of how many, and that the worst one is no accident."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transfer.evaluation.comparison import FEWEST
from transfer.evaluation.slices import cut, sliced, worst
from transfer.metrics.intervals import wilson_interval


def test_texts_and_few_numbers_are_parts_by_themselves() -> None:
    assert {name: members.tolist() for name, members in cut(["b", "a", None, "a"]).items()} == {
        "a": [False, True, False, True],
        "b": [True, False, False, False],
    }
    assert list(cut([32, 32, 64])) == ["32", "64"]


def test_numbers_are_cut_into_thirds() -> None:
    values = [*range(90), None]
    parts = cut(values)
    assert [int(members.sum()) for members in parts.values()] == [30, 30, 30]
    assert list(parts) == ["0 to 29.7", "29.7 to 59.3", "59.3 to 89"]
    assert next(iter(cut([1.0001, 1.0002, 1.0003, 1.0004, 1.0005, 1.0006]))) == "1.0001 to 1.0003"


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=40))
def test_parts_are_disjoint_and_hold_every_row_that_has_a_value(values: list[float | None]) -> None:
    parts = list(cut(values).values())
    known = np.array([value is not None for value in values])
    assert not parts or (np.sum(parts, axis=0) == known).all()


@pytest.mark.parametrize("values", [["one"] * 9, [1.0] * 9, [f"{n}" for n in range(60)], [None, None]])
def test_what_tells_nothing_is_not_cut(values: list[str | float | None]) -> None:
    assert cut(values) == {}


def _members(n_rows: int, *sizes: int) -> dict[str, np.ndarray]:
    places = np.repeat(np.arange(len(sizes)), sizes)
    assert len(places) == n_rows
    return {f"part {place}": places == place for place in range(len(sizes))}


def test_a_slice_is_compared_with_all_other_rows() -> None:
    right = np.ones(200, dtype=bool)
    right[:15] = False  # of the first 50, 15 are mistaken
    right[100:105] = False
    first, second = sliced(right, {"column": _members(200, 50, 150)}, 0.95)
    expected = stats.fisher_exact([[35, 15], [145, 5]]).pvalue
    assert first.accuracy == wilson_interval(35, 50, 0.95)
    assert first.p_adjusted == pytest.approx(2 * expected)
    assert (first.worse, second.worse) == (True, False)
    found = worst((first, second), 0.95)
    assert found is not None
    assert (found[0], found[1]) == (first, wilson_interval(35, 50, 1 - 0.05 / 2))


def test_nothing_is_claimed_of_few_rows() -> None:
    right = np.arange(100) >= FEWEST - 1
    small, large = sliced(right, {"column": _members(100, FEWEST - 1, 101 - FEWEST)}, 0.95)
    assert (small.n_rows, small.accuracy, small.p_adjusted, small.worse) == (FEWEST - 1, None, None, False)
    found = worst((small, large), 0.95)
    assert found is not None
    assert found[0] == large
    assert worst((small,), 0.95) is None


def test_of_slices_that_are_alike_one_is_rarely_called_worse() -> None:
    draw, alarms = np.random.default_rng(0), 0
    columns = {f"column {place}": _members(300, *sizes) for place, sizes in enumerate([(100, 100, 100), (60,) * 5])}
    for _ in range(80):
        shuffled = {
            name: {part: own[draw.permutation(300)] for part, own in parts.items()} for name, parts in columns.items()
        }
        alarms += any(one.worse for one in sliced(draw.random(300) < 0.9, shuffled, 0.95))
    assert alarms / 80 <= 0.05
