"""Alias and ledger agree, wherever a move is cut off, and whoever moves the alias by other means."""

import itertools
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from adapters import promotions
from adapters.mlflow_aliases import MODEL_TAG
from adapters.mlflow_store import open_client
from adapters.promotion_ledger import LEDGER, read_ledger
from adapters.promotions import CHAMPION, GATE, OUTSIDE, PENDING, Move, champion, cut_off, move, settle
from transfer.errors import UserError

NAME = "digits"
RESTLESS = """
from pathlib import Path
from adapters.promotions import Move, champion, move
place = Path.cwd()
champion(place, "digits")
print("ready", flush=True)
while True:
    now = champion(place, "digits").version
    move(place, Move("digits", now, str(int(now) % 3 + 1), "gate", "restless"))
"""


@pytest.fixture
def versions(mlflow_project: Path) -> Path:
    """Give the registry a model of three versions without an alias."""
    client = open_client(mlflow_project)
    client.create_registered_model(NAME)
    for number in range(3):
        client.create_model_version(NAME, f"file:///{number}", tags={MODEL_TAG: f"{number + 1}" * 64})
    return mlflow_project


def promote(project: Path, before: str | None, after: str, **more: Any) -> None:
    move(project, Move(NAME, before, after, GATE, f"{after} is better", **more))


def promote_cut_off(project: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Begin to promote version 2 in place of version 1, and end at a step of it, as a killed process would."""
    with monkeypatch.context() as patch:
        patch.setattr(step, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            promote(project, "1", "2")


def state(project: Path) -> tuple[str | None, list[tuple[str | None, str | None, str]], bool]:
    """Return the alias, the moves of the ledger, and whether a move is pending."""
    found = promotions.aliased(project, NAME, CHAMPION)
    ledger = read_ledger(project)
    assert ledger.problems == ()
    moves = [(line.before, line.after, line.by) for line in ledger.lines]
    return (found.version if found else None), moves, (project / PENDING).exists()


def test_a_move_is_an_alias_and_a_line(versions: Path) -> None:
    assert champion(versions, NAME) is None
    promote(versions, None, "1", decision={"outcome": "promote"})
    promote(versions, "1", "3", forced=True)
    assert state(versions) == ("3", [(None, "1", GATE), ("1", "3", GATE)], False)
    line = read_ledger(versions).lines[0]
    assert (line.model, line.why, line.model_sha256, line.forced) == (NAME, "1 is better", "1" * 64, False)
    assert line.decision == {"outcome": "promote"}
    assert line.who
    assert line.time.endswith("+00:00")
    assert settle(versions) == []
    assert cut_off(versions) == []


@pytest.mark.parametrize(
    ("before", "after", "words"), [("2", "3", "champion of digits is version 1"), ("1", "9", "no version 9")]
)
def test_what_the_mover_does_not_know_is_refused(versions: Path, before: str, after: str, words: str) -> None:
    promote(versions, None, "1")
    with pytest.raises(UserError, match=words):
        promote(versions, before, after)
    assert state(versions) == ("1", [(None, "1", GATE)], False)


STEPS = [
    "mlflow.MlflowClient.set_registered_model_alias",
    "adapters.promotions.append",
    "adapters.promotions._remember_head",
    "pathlib.Path.unlink",
]


@pytest.mark.parametrize("asked", [champion, None], ids=["champion", "settle"])
@pytest.mark.parametrize("step", STEPS)
def test_a_move_that_is_cut_off_anywhere_is_finished_by_the_next_command(
    versions: Path, monkeypatch: pytest.MonkeyPatch, step: str, asked: Any
) -> None:
    promote(versions, None, "1")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(step, killed)
        with pytest.raises(KeyboardInterrupt):
            promote(versions, "1", "2")
    assert (versions / PENDING).exists()
    if asked is None:
        assert settle(versions) == ["the move of digits@champion to version 2 had been cut off and is finished"]
    else:
        assert asked(versions, NAME).version == "2"
    assert state(versions) == ("2", [(None, "1", GATE), ("1", "2", GATE)], False)
    assert settle(versions) == []


@pytest.mark.slow
def test_a_process_killed_while_it_promotes_leaves_what_the_next_command_agrees_on(versions: Path) -> None:
    """Kill a process that promotes without pause, at a moment that chance chooses."""
    promote(versions, None, "1")
    draw = random.Random(0)
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", RESTLESS], cwd=versions, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0, 1.0))
            process.send_signal(signal.SIGKILL)
        settle(versions)
        alias, moves, pending = state(versions)
        assert (alias, pending) == (moves[-1][1], False)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(moves))
        assert not any(by == OUTSIDE for _, _, by in moves)
        assert cut_off(versions) == []
    assert len(moves) > 8


def test_a_move_to_a_version_that_was_deleted_meanwhile_is_forgotten(
    versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(versions, None, "1")
    promote_cut_off(versions, monkeypatch, "mlflow.MlflowClient.set_registered_model_alias")
    open_client(versions).delete_model_version(NAME, "2")
    found = champion(versions, NAME)
    assert found is not None
    assert state(versions) == ("1", [(None, "1", GATE)], False)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("chosen", ["3", None])
def test_what_a_person_did_after_a_move_was_cut_off_is_not_overwritten(
    versions: Path, monkeypatch: pytest.MonkeyPatch, step: str, chosen: str | None
) -> None:
    promote(versions, None, "1")
    promote_cut_off(versions, monkeypatch, step)
    if chosen is None:
        open_client(versions).delete_registered_model_alias(NAME, CHAMPION)
    else:
        open_client(versions).set_registered_model_alias(NAME, CHAMPION, chosen)
    settle(versions)
    alias, moves, pending = state(versions)
    assert (alias, pending) == (chosen, False)
    assert (moves[-1][1], moves[-1][2]) == (chosen, OUTSIDE)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(moves))
    assert cut_off(versions) == []


def test_a_champion_that_was_set_back_after_the_line_was_written_stays(
    versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(versions, None, "1")
    promote_cut_off(versions, monkeypatch, "adapters.promotions._remember_head")
    open_client(versions).set_registered_model_alias(NAME, CHAMPION, "1")
    settle(versions)
    assert state(versions) == ("1", [(None, "1", GATE), ("1", "2", GATE), ("2", "1", OUTSIDE)], False)


def test_an_alias_moved_by_other_means_is_written_down_and_left_where_it_is(versions: Path) -> None:
    promote(versions, None, "1")
    open_client(versions).set_registered_model_alias(NAME, CHAMPION, "2")
    said = "digits@champion was moved from version 1 to version 2 without Rootstock, which the ledger says now"
    assert settle(versions) == [said]
    assert settle(versions) == []
    assert state(versions) == ("2", [(None, "1", GATE), ("1", "2", OUTSIDE)], False)
    open_client(versions).delete_registered_model_alias(NAME, CHAMPION)
    promote(versions, None, "3")
    moves = [(None, "1", GATE), ("1", "2", OUTSIDE), ("2", None, OUTSIDE), (None, "3", GATE)]
    assert state(versions) == ("3", moves, False)


def test_a_line_that_is_cut_off_the_end_is_missed(versions: Path) -> None:
    promote(versions, None, "1")
    promote(versions, "1", "2")
    first, _ = (versions / LEDGER).read_bytes().splitlines(keepends=True)
    (versions / LEDGER).write_bytes(first)
    assert read_ledger(versions).problems == ()
    assert cut_off(versions) == [
        "the last line about digits is gone from the ledger: the registry knows of one that it does not hold"
    ]


def test_a_line_that_is_gone_is_missed_after_others_took_its_place(versions: Path) -> None:
    promote(versions, None, "1")
    promote(versions, "1", "2")
    first, _ = (versions / LEDGER).read_bytes().splitlines(keepends=True)
    (versions / LEDGER).write_bytes(first)
    missed = cut_off(versions)
    settle(versions)
    assert state(versions)[1] == [(None, "1", GATE), ("1", "2", OUTSIDE)]
    assert cut_off(versions) == missed != []
    promote(versions, "2", "3")
    assert cut_off(versions) == missed


def test_a_ledger_that_is_gone_is_missed_but_not_that_of_another_project(
    versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(versions, None, "1")
    (versions / LEDGER).rename(versions / "kept.jsonl")
    assert len(cut_off(versions)) == 1
    other = tmp_path / "other"
    shutil.copytree(versions.parent / "project", other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{versions / 'mlruns' / 'mlflow.db'}")
    assert cut_off(other) == [], "the registry is shared: the line may be another project's"
    monkeypatch.chdir(other)
    move(other, Move(NAME, "1", "2", GATE, "2 is better"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (versions / "kept.jsonl").rename(versions / LEDGER)
    monkeypatch.chdir(versions)
    assert settle(versions)[0].startswith("digits@champion was moved from version 1 to version 2 without Rootstock")


def test_a_deleted_model_leaves_its_history(versions: Path) -> None:
    promote(versions, None, "1")
    open_client(versions).delete_registered_model(NAME)
    assert settle(versions) == [
        "digits@champion was moved from version 1 to no version without Rootstock, which the ledger says now"
    ]
    assert read_ledger(versions).lines[-1].after is None
    assert settle(versions) == []
