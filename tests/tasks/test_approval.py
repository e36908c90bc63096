"""What a person says of a new champion is done, refused or written down, whoever ran the pipeline meanwhile."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Completed, Crashed, Failed, State, Suspended

from adapters.json_files import read_json, write_json
from adapters.mlflow_aliases import MODEL_TAG, aliased, numbered
from adapters.mlflow_registry import tag_version, tagged
from adapters.promotion_ledger import read_ledger
from adapters.promotions import APPROVAL_RUN_TAG, APPROVAL_TAG, Move, move
from tasks import approval
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
    assert said(at).startswith("not promoted, though approved by Ada: ")


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


@pytest.fixture
def asking(at: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[str, Waiting | None]]:
    """Return what a new run of a deployment does in the end: its id, and what it waits for; it is suspended then."""
    set_param("approval: none ", "approval: required ")
    tag_version(at, "digits", "2", {APPROVAL_RUN_TAG: str(uuid4())})  # of a server that is no more
    write_json(REGISTRATION, {"name": "digits", "model_version": "2", "promotion": {"outcome": "ask"}}, {})

    @flow
    def deployed() -> None:
        """Stand for the pipeline."""

    def ask() -> tuple[str, Waiting | None]:
        with get_client(sync_client=True) as client:
            run = str(client.create_flow_run(deployed, state=Suspended(timeout_seconds=600)).id)
        monkeypatch.setattr(approval, "_deployed_run", lambda: run)
        return run, asked(at)

    return ask


def end(run: str, state: State) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run), state, force=True)


def state_of(run: str) -> str:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(run)).state
    return "" if state is None else state.type.value


Ask = Callable[[], tuple[str, Waiting | None]]


def test_a_run_that_is_gone_or_ended_without_a_word_leaves_the_question_to_the_next(at: Path, asking: Ask) -> None:
    first, waiting = asking()  # the run that the tag names is not known
    assert waiting is not None
    assert asking()[1] is None
    end(first, Crashed(message="killed"))
    second, waiting = asking()
    assert waiting is not None
    assert tagged(at, APPROVAL_RUN_TAG, second) == [("digits", "2")]
    assert state_of(first) == "CRASHED"


def test_after_another_comparison_it_is_asked_anew_and_the_old_question_is_withdrawn(at: Path, asking: Ask) -> None:
    first, _ = asking()
    tag_version(at, "digits", "2", {"gate_against": "0" * 64})
    second, waiting = asking()
    assert waiting is not None
    assert (state_of(first), state_of(second)) == ("CANCELLED", "PAUSED")
    assert asking()[1] is None


def test_a_word_that_could_not_be_carried_out_is_asked_for_again(at: Path, asking: Ask) -> None:
    tags = dict(numbered(at, "digits", "2").tags)  # type: ignore[union-attr]
    first, _ = asking()
    tag_version(at, "digits", "2", {"gate_against": "0" * 64})
    assert carry_out(at, WAITING, YES).type.value == "FAILED"
    end(first, Failed(message="judged beside another champion"))
    tag_version(at, "digits", "2", {"gate_against": tags["gate_against"]})  # the next run compared again
    assert asking()[1] is not None


@pytest.mark.parametrize("answer", [YES, Approval(approve=False, reason="no better")])
def test_a_word_that_was_carried_out_is_the_last(at: Path, asking: Ask, answer: Approval) -> None:
    first, _ = asking()
    carry_out(at, WAITING, answer)
    end(first, Completed())
    tag_version(at, "digits", "2", {"gate_against": "0" * 64})
    assert asking()[1] is None
