"""A project talks to its own Prefect API, and to no other project's."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from adapters import prefect_api
from adapters.answering import api_answers

Answering = Callable[[str], AbstractContextManager[str]]


def test_api_answers_only_when_it_does(answering: Answering) -> None:
    with answering("x") as url:
        assert api_answers(url)
        assert api_answers(url + "/")
    assert not api_answers(url, timeout_s=0.2)
    assert not api_answers("no url")


def test_exported_api_goes_first_and_a_dead_one_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Answering
) -> None:
    with answering("x") as url:
        monkeypatch.setenv("PREFECT_API_URL", url)
        assert prefect_api.running_api(tmp_path) == url
    assert prefect_api.running_api(tmp_path) is None


def test_configured_local_api_is_taken_only_with_this_projects_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Answering
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for home, ours in ((str(tmp_path / ".prefect"), True), ("/elsewhere", False)):
        with answering(home) as url:
            (tmp_path / "prefect.toml").write_text(f'[api]\nurl = "{url}"\n', encoding="utf-8")
            assert prefect_api.running_api(tmp_path) == (url if ours else None)


@pytest.mark.parametrize("home", [".prefect", "exported"])
def test_api_that_up_started_is_found_on_any_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Answering, home: str
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / home))
    with answering(str(tmp_path / home)) as url:
        prefect_api.note_running(tmp_path, {"prefect_api": url})
        assert prefect_api.running_api(tmp_path) == url
    assert prefect_api.running_api(tmp_path) is None
    prefect_api.forget_running(tmp_path)
    assert prefect_api.read_running(tmp_path) == {}


def test_note_of_an_api_that_was_killed_leads_to_no_other_projects_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Answering
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with answering(str(tmp_path / "other" / ".prefect")) as theirs, answering(str(tmp_path / ".prefect")) as ours:
        prefect_api.note_running(tmp_path, {"prefect_api": theirs})
        assert prefect_api.running_api(tmp_path) is None
        (tmp_path / "prefect.toml").write_text(f'[api]\nurl = "{ours}"\n', encoding="utf-8")
        assert prefect_api.running_api(tmp_path) == ours


def test_api_is_the_projects_own_only_with_home_and_database_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Answering
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "shared"))
    with answering(str(tmp_path / "shared")) as url:
        assert not prefect_api.is_its_own(url, tmp_path)
    with answering(str(tmp_path / ".prefect")) as url:
        assert prefect_api.is_its_own(url, tmp_path)
        monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://somewhere/prefect")
        assert not prefect_api.is_its_own(url, tmp_path)
    monkeypatch.delenv("PREFECT_SERVER_DATABASE_CONNECTION_URL")
    assert not prefect_api.is_its_own(url, tmp_path)
