"""The ledger of splits: what stands in it stays, and damage is told with its line."""

from pathlib import Path

import pytest

from adapters.split_ledger import GIVEN, LEDGER, Decision, read_ledger, with_decisions, write_ledger
from transfer.errors import UserError


@pytest.mark.parametrize("group", ['the "first",\rpatient', "x" * 200_000])
def test_decisions_that_stand_are_never_overwritten(project: Path, group: str) -> None:
    digest = "ab" * 32
    ledger = with_decisions({}, GIVEN, {digest: Decision("train", group)})
    ledger = with_decisions(ledger, GIVEN, {digest: Decision("test", "")})
    write_ledger(project, ledger)
    assert read_ledger(project) == {(GIVEN, digest[:16]): Decision("train", group)}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"draw,sha256,split,group\nseed=0,abcd,training,\n", 2),
        (b"draw,sha256,split,group\nseed=0,abcd\n", 2),
        (b"path,label\n", 1),
        (b"\xff\xfe", 1),
    ],
)
def test_a_damaged_ledger_is_refused_with_its_line(project: Path, content: bytes, line: int) -> None:
    LEDGER.parent.mkdir(parents=True)
    LEDGER.write_bytes(content)
    with pytest.raises(UserError, match=rf"splits.csv cannot be read at line {line} .*dvc checkout"):
        read_ledger(project)
