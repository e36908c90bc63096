"""The champion that a rollback goes to is found in the ledger."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.promotion_ledger import Line
from tasks.promotion import previous

NAME = "digits"


def _lines(*moves: tuple[str | None, str]) -> list[Line]:
    entry = {"number": 1, "time": "", "who": "", "model": NAME, "before": None, "model_sha256": "", "why": ""}
    more: dict[str, Any] = {"forced": False, "decision": None, "previous": "", "hash": ""}
    return [Line(**{**entry, **more, "after": after, "by": by}) for after, by in moves]


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([], None),
        ([("1", "gate")], None),
        ([("1", "gate"), ("2", "gate")], "1"),
        ([("1", "gate"), ("2", "gate"), ("3", "promote")], "2"),
        ([("1", "gate"), ("2", "gate"), ("3", "promote"), ("2", "rollback")], "1"),
        ([("1", "gate"), ("2", "gate"), ("3", "promote"), ("2", "rollback"), ("1", "rollback")], None),
        ([("1", "gate"), ("2", "gate"), ("1", "rollback"), ("3", "gate")], "1"),
        ([("1", "gate"), ("2", "gate"), (None, "outside"), ("2", "repair")], "1"),
        ([("1", "gate"), ("2", "gate"), ("1", "promote")], "2"),
        ([("1", "gate"), ("2", "gate"), ("1", "promote"), ("3", "gate"), ("1", "rollback")], "2"),
    ],
)
def test_the_champion_before_is_found_through_rollbacks(
    moves: list[tuple[str | None, str]], expected: str | None
) -> None:
    assert previous(_lines(*moves)) == expected


def test_a_champion_of_a_time_before_the_ledger_is_gone_back_to() -> None:
    (first,) = _lines(("2", "gate"))
    assert previous([replace(first, before="1")]) == "1"
    assert previous([replace(first, before="1"), *_lines(("1", "rollback"))]) is None
