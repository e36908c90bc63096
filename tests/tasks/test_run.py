"""`rootstock run` ends where nothing is stale, checks everything first, and gives a cancelled run its sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import prefect_api, servers
from adapters.locks import project_lock
from tasks import registry_care, run, summary
from transfer.errors import UserError


def unreachable(*_: object, **__: object) -> Callable[..., Any]:
    pytest.fail("this run had nothing to do, or was to be refused")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what a run sets for its process."""
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


@pytest.fixture
def idle(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project in which nothing is stale."""
    monkeypatch.setattr(run, "stale_stages", lambda _: set())
    monkeypatch.setattr(registry_care, "mend", lambda _: "the alias was missing")
    monkeypatch.setattr(servers, "start_prefect_server", unreachable)
    monkeypatch.setattr(summary, "show_unchanged", lambda _, mended, notice: print(f"{mended}; {notice}"))
    return project


def test_nothing_stale_ends_without_server_and_flow(idle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.run([], unreachable)
    assert capsys.readouterr().out == "the alias was missing; None\n"


def test_command_acts_on_the_project_around_the_folder(idle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (idle / "deep/down").mkdir(parents=True)
    monkeypatch.chdir(idle / "deep/down")
    run.run([], unreachable)
    assert Path.cwd() == idle


def test_data_outside_is_pointed_out_where_nothing_runs(idle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (idle.parent / "photos").mkdir()
    text = (idle / "params.yaml").read_text(encoding="utf-8")
    (idle / "params.yaml").write_text(text.replace("path: data/digits", "path: ../photos"), encoding="utf-8")
    run.run([], unreachable)
    assert "dvc add ../photos -o data/photos" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [("finetune.epoch=3", "no parameter"), ("data.path=../nowhere", "no such folder"), ("x", "has no '='")],
)
def test_refusals_come_before_anything_starts(idle: Path, text: str, words: str) -> None:
    before = (idle / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=words):
        run.run([text], unreachable)
    assert (idle / "params.yaml").read_bytes() == before


def test_change_goes_to_the_flow_with_complete_settings(idle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def pipeline(data_path: str, settings: dict[str, Any]) -> dict[str, Any]:
        given.update(settings, data_path=data_path)
        return {}

    monkeypatch.setattr(prefect_api, "running_api", lambda _: "http://127.0.0.1:9/api")
    monkeypatch.setattr(summary, "show", lambda *_: None)
    run.run(["finetune.epochs=3"], lambda: pipeline)
    assert (given["data_path"], given["finetune.epochs"], given["finetune.seed"]) == ("data/digits", 3, 0)


def test_project_that_another_run_holds_is_left_alone(idle: Path) -> None:
    with project_lock(idle), pytest.raises(UserError, match="is busy: process"):
        run.run([], unreachable)


def test_run_that_was_cancelled_on_the_way_is_the_users_sentence(idle: Path) -> None:
    from prefect.exceptions import CancelledRun

    def pipeline(**_: object) -> dict[str, Any]:
        raise CancelledRun("the project is busy")

    with pytest.raises(UserError, match="the project is busy"):
        run._call(pipeline, "data/digits", {})


def test_server_of_a_run_is_stopped_however_it_ends(idle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[servers.Server] = []
    server = servers.Server("Prefect server", "http://127.0.0.1:9", idle / "log", None)  # type: ignore[arg-type]
    monkeypatch.setattr(prefect_api, "running_api", lambda _: None)
    monkeypatch.setattr(servers, "start_prefect_server", lambda *_, **__: server)
    monkeypatch.setattr(servers, "wait_until", lambda *_: None)
    monkeypatch.setattr(servers, "stop", stopped.append)
    monkeypatch.setattr(run, "_warm_up", lambda _: None)
    with pytest.raises(KeyboardInterrupt), run._api(idle):
        raise KeyboardInterrupt
    assert stopped == [server]
