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


def test_what_the_user_exported_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", "elsewhere")
    monkeypatch.delenv("DVC_NO_ANALYTICS")
    environment.prepare(tmp_path)
    assert environment.get("PREFECT_HOME") == "elsewhere"
    assert environment.get("DVC_NO_ANALYTICS") == "true"
