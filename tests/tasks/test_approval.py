"""What a person says of a new champion is done, refused or written down, whoever ran the pipeline meanwhile."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.json_files import read_json
from adapters.mlflow_aliases import MODEL_TAG, aliased, numbered
from adapters.mlflow_registry import tag_version, tagged
from adapters.promotion_ledger import read_ledger
from adapters.promotions import APPROVAL_RUN_TAG, APPROVAL_TAG, Move, move
from tasks.approval import Approval, Waiting, asked, carry_out, resumed
from tasks.handoffs import REGISTRATION
from tasks.register import publish
from tests.tasks.left_artifacts import champion, compare, leave_artifacts, set_param
from tests.tasks.test_promotion import add_version, judge

WAITING = Waiting("digits", "2", "Left to a person.")
YES = Approval(approve=True, reason="as good", who="Ada")


@pytest.fixture(scope="module")
def waiting_once(
    tmp_path_factory: pytest.TempPathFactory, lay_out: Callable[[Path], None], migrated_database: Path
) -> Path:
    """Return a project with a champion and a second version, about which a person is asked."""
    folder = tmp_path_factory.mktemp("waiting") / "project"
    lay_out(folder)
    (folder / "mlruns").mkdir()
    shutil.copyfile(migrated_database, folder / "mlruns" / "mlflow.db")
    with contextlib.chdir(folder):
        add_version(folder, 0)
        move(folder, Move("digits", None, "1", "gate", "Promoted: there was no champion."))
        add_version(folder, 1)
        first = numbered(folder, "digits", "1")
        assert first is not None
        judge(folder, "2", "ask", first.tags[MODEL_TAG])
        tag_version(folder, "digits", "2", {APPROVAL_RUN_TAG: "a-run", APPROVAL_TAG: "waiting until then"})
    return folder


@pytest.fixture
def at(project: Path, waiting_once: Path) -> Path:
    """Make a project of its own, as `waiting_once` is."""
    return Path(shutil.copytree(waiting_once, project, dirs_exist_ok=True))


def said(project: Path, version: str = "2") -> str:
    found = numbered(project, "digits", version)
    return "" if found is None else found.tags[APPROVAL_TAG]


def test_the_word_is_in_the_ledger_with_who_said_it(at: Path) -> None:
    state = carry_out(at, WAITING, YES)
    assert (state.type.value, champion()) == ("COMPLETED", "2")
    line = read_ledger(at).lines[-1]
    assert (line.by, line.who, line.why, line.forced) == ("promote", "Ada", "as good", False)
    assert said(at) == "approved by Ada: as good"
    again = carry_out(at, WAITING, YES)  # a run that is retried
    assert "is the champion already" in again.message
    assert len(read_ledger(at).lines) == 2


def test_without_a_name_it_is_the_account(at: Path) -> None:
    state = carry_out(at, WAITING, Approval(approve=False, reason="no better"))
    assert (state.name, champion()) == ("Rejected", "1")
    assert said(at).startswith(f"rejected by {read_ledger(at).lines[0].who}: no better")


def test_an_older_model_is_not_promoted_once_a_newer_one_is_the_challenger(at: Path) -> None:
    add_version(at, 2)
    state = carry_out(at, WAITING, YES)
    assert (state.type.value, champion()) == ("FAILED", "1")
    assert "version 3 was registered since" in state.message
    assert said(at).startswith("approved by Ada, but not promoted: ")


def test_a_model_that_was_judged_beside_another_champion_is_not_promoted(at: Path) -> None:
    tag_version(at, "digits", "2", {"gate_against": "0" * 64})
    state = carry_out(at, WAITING, YES)
    assert (state.type.value, champion()) == ("FAILED", "1")
    assert "judged beside another champion" in state.message


def test_a_run_finds_what_it_waits_for_by_its_id(at: Path) -> None:
    assert tagged(at, APPROVAL_RUN_TAG, "a-run") == [("digits", "2")]
    assert tagged(at, APPROVAL_RUN_TAG, "another") == []


def test_where_nothing_could_resume_it_nobody_is_waited_for(mlflow_project: Path) -> None:
    set_param("approval: none ", "approval: required ")
    leave_artifacts()
    compare()
    publish()
    assert (resumed(), asked(mlflow_project)) == (None, None)
    said = read_json(REGISTRATION)["promotion"]
    assert said["outcome"] == "ask"
    why = "approval is required (the gate: Promoted: there was no champion, and every criterion is kept)"
    assert said["sentence"] == f"Left to a person: {why}."
    assert aliased(mlflow_project, "digits", "champion") is None
