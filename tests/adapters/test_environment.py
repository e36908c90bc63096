"""What every process of a project finds in its environment."""

import urllib.request
from pathlib import Path

import pytest

from adapters import environment


@pytest.mark.parametrize("kept", ["", "corp.example", "127.0.0.1,corp.example"])
def test_own_servers_are_never_asked_through_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", kept)
    monkeypatch.setenv("NO_PROXY", kept)
    environment.prepare(tmp_path)
    environment.prepare(tmp_path)
    assert [bool(urllib.request.proxy_bypass(host)) for host in ("127.0.0.1", "localhost", "a.example")] == [1, 1, 0]
    assert bool(urllib.request.proxy_bypass("corp.example")) == ("corp" in kept)
    assert environment.get("no_proxy") == environment.get("NO_PROXY")


@pytest.mark.parametrize(
    ("settings", "follows"),
    [
        ({}, False),
        ({"RANK": "1"}, False),
        ({"RANK": "0", "WORLD_SIZE": "2"}, False),
        ({"RANK": "1", "WORLD_SIZE": "2"}, True),
        ({environment.RANK_PLACE: "1 2 29500"}, True),
    ],
)
def test_a_process_follows_where_it_is_one_of_several(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], follows: bool
) -> None:
    for name in ("RANK", "WORLD_SIZE", environment.RANK_PLACE):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert environment.follows() == follows


def test_what_the_user_exported_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", "elsewhere")
    monkeypatch.delenv("DVC_NO_ANALYTICS")
    environment.prepare(tmp_path)
    assert environment.get("PREFECT_HOME") == "elsewhere"
    assert environment.get("DVC_NO_ANALYTICS") == "true"
