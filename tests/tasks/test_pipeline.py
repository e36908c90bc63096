"""A pipeline run is one transaction towards the user's mistakes, and reports what each stage came to."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from adapters import dvc_commands, environment, launch
from adapters.json_files import write_plain_json
from adapters.locks import ProjectBusyError, holder_of, project_lock
from tasks import data_source, failures, pipeline, prefect_runs, registry_care
from tasks.failures import Failure
from transfer.errors import EnvironmentFault, UserError


@pytest.fixture(autouse=True)
def _no_warm_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run find a warm process that serves nobody: these tests start no stage."""
    monkeypatch.setenv(launch.WARM, "nobody.sock")


def content(project: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(project)): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file() and not {".rootstock", ".git", "logs"} & set(path.relative_to(project).parts)
    }


@pytest.fixture
def used(project: Path) -> Path:
    """Return a project that an earlier run left behind."""
    (project / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    write_plain_json(project / "artifacts/select/ranking.json", {"winner": "a"})
    (project / "data/photos").mkdir(parents=True)
    (project / "data/photos.dvc").write_text("outs:\n- md5: old\n  path: photos\n", encoding="utf-8")
    return project


def ruin(project: Path, error: BaseException) -> NoReturn:
    (project / "params.yaml").write_text("ruined: 1\n", encoding="utf-8")
    (project / "dvc.lock").unlink()
    (project / "expectations/previous_data.json").write_text("of the version that was refused", encoding="utf-8")
    (project / "artifacts/select/ranking.json").unlink()
    write_plain_json(project / "artifacts/finetune/history.json", {})
    (project / "data/photos.dvc").write_text("outs: []\n", encoding="utf-8")
    raise error


def test_users_mistake_leaves_everything_as_it_was(used: Path) -> None:
    before = content(used)
    with pytest.raises(UserError, match="no good"), pipeline.project_run("data/photos", None) as project:
        ruin(project, UserError("no good"))
    assert content(used) == before
    assert sorted(path.name for path in (used / ".rootstock").iterdir()) == ["run.lock"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, EnvironmentFault])
def test_interrupted_run_can_be_taken_up_where_it_was(used: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), pipeline.project_run(None, None) as project:
        ruin(project, error())
    assert (used / "artifacts/finetune/history.json").is_file()
    assert not (used / "dvc.lock").exists()
    assert holder_of(used / ".rootstock/run.lock") is None


def test_second_run_is_refused_and_disturbs_nothing(used: Path) -> None:
    with project_lock(used), pytest.raises(ProjectBusyError), pipeline.project_run(None, None):
        pytest.fail("two runs at once")


def test_run_that_was_killed_is_marked_by_the_next(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[str] = []
    monkeypatch.setattr(prefect_runs, "mark_crashed", lambda run, _: marked.append(run))
    note = used / ".rootstock" / "current.json"
    write_plain_json(note, {"flow_run": "killed"})
    with pipeline.project_run(None, None):
        assert json.loads(note.read_text(encoding="utf-8")) == {"flow_run": None}
    assert marked == ["killed"]
    assert not note.exists()


def reproducing(
    project: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any], code: int = 0
) -> list[dict[str, Any]]:
    """Let a stage do `act` and end with a code; return what DVC was asked for."""
    asked: list[dict[str, Any]] = []

    def repro(_: Path, stage: str, log: Path, __: Callable[[], None], **flags: Any) -> int:
        asked.append({"stage": stage, **flags})
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("ERROR: failed to reproduce 'select': no disk.\n", encoding="utf-8")
        act()
        return code

    monkeypatch.setattr(dvc_commands, "repro", repro)
    return asked


def observe(project: Path, stage: str) -> None:
    write_plain_json(
        project / "artifacts" / stage / "observed.json", {"seconds": {"total": 2.0, "steps": {"a": 0.5, "b": 1.0}}}
    )


def test_stage_that_ran_reports_the_seconds_of_its_steps(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = reproducing(project, monkeypatch, lambda: observe(project, "select"))
    outcome = pipeline.repro.fn("select", stale=True)
    assert (outcome["ran"], outcome["compute_s"]) == (True, 1.5)
    assert asked == [{"stage": "select", "run_cache": True, "alone": False, "force": False}]


def test_restored_stage_is_not_said_to_have_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observe(project, "select")
    time.sleep(0.05)
    reproducing(project, monkeypatch, lambda: time.sleep(0.01))
    outcome = pipeline.repro.fn("select", stale=True)
    assert (outcome["ran"], outcome["compute_s"]) == (False, 0.0)
    assert outcome["seconds"] > 0


def test_fresh_stage_costs_no_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = reproducing(project, monkeypatch, lambda: None)
    assert pipeline.repro.fn("select", stale=False)["seconds"] == 0
    assert asked == []


def test_registration_is_never_taken_from_the_run_cache(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = reproducing(project, monkeypatch, lambda: None)
    pipeline.repro.fn("register", stale=True)
    assert asked == [{"stage": "register", "run_cache": False, "alone": False, "force": False}]


@pytest.mark.parametrize(
    ("code", "error"), [(2, UserError), (1, EnvironmentFault), (failures.INTERRUPTED, KeyboardInterrupt)]
)
def test_record_of_a_failed_stage_decides_how_the_run_ends(
    project: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[BaseException]
) -> None:
    failure = Failure("select", code, "Two words.")
    reproducing(project, monkeypatch, lambda: failures.leave(failure, project), code=255)
    with pytest.raises(error, match=None if error is KeyboardInterrupt else r"Two words\."):
        pipeline.repro.fn("select", stale=True)


def test_failure_without_a_record_quotes_dvc(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures.leave(Failure("manifest", 2, "An older one."), project)
    reproducing(project, monkeypatch, lambda: None, code=255)
    with pytest.raises(EnvironmentFault, match=r"select failed in DVC: failed to reproduce 'select': no disk; .*\.log"):
        pipeline.repro.fn("select", stale=True)


def test_run_is_settled_by_registry_and_data(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_care, "mend", lambda _: "the alias was missing")
    monkeypatch.setattr(data_source, "track", lambda _, path: f"{path} is outside")
    times = [{"stage": "select"}]
    outcome = pipeline.settle(project, times)
    assert outcome == {"mended": "the alias was missing", "notice": "data/digits is outside", "stages": times}


@pytest.mark.parametrize(
    ("error", "status"), [(None, "FINISHED"), (UserError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_parent_run_is_closed_as_the_pipeline_ended(
    mlflow_project: Path, error: BaseException | None, status: str
) -> None:
    from adapters.mlflow_store import open_client

    write_plain_json(mlflow_project / "artifacts/evaluate/metrics.json", {"accuracy": 0.5, "references": "equal"})
    (mlflow_project / "artifacts/evaluate/comparison.png").write_bytes(b"picture")
    ended: BaseException | None = None
    run_id = None
    try:
        with pipeline.parent_run(mlflow_project):
            run_id = environment.get(environment.PARENT_RUN)
            if error is not None:
                raise error
    except (UserError, KeyboardInterrupt) as caught:
        ended = caught
    assert ended is error
    assert run_id is not None
    run = open_client(mlflow_project).get_run(run_id)
    assert run.info.status == status
    assert run.data.metrics == ({"accuracy": 0.5} if error is None else {})
    assert environment.get(environment.PARENT_RUN) is None


@pytest.mark.parametrize(
    ("stale", "alone"),
    [
        (set(), set()),
        ({"sample", "manifest", "validate"}, {"validate"}),
        ({"finetune", "reference", "evaluate", "register"}, {"reference", "evaluate", "register"}),
        ({"register"}, set()),
        (set(pipeline.STAGES), set(pipeline.STAGES) - {"sample", "manifest"}),
    ],
)
def test_only_what_follows_a_stage_that_checked_the_data_is_reproduced_alone(stale: set[str], alone: set[str]) -> None:
    assert pipeline.alone_after(stale) == alone
