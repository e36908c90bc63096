"""A terminal sees the stage at work; a pipe sees nothing."""

import io
import json
import sys
from pathlib import Path

import pytest

from adapters import environment
from tasks import live


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_pipe_sees_nothing_and_the_stage_learns_where_to_report(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with live.shown(project, "select") as tick:
        tick()
        assert environment.get(environment.PROGRESS_FILE) == str(project / ".rootstock/progress.json")
    assert environment.get(environment.PROGRESS_FILE) is None
    assert capsys.readouterr() == ("", "")


def test_terminal_sees_stage_and_progress(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(live, "_DRAW_EVERY_S", 0.0)
    with live.shown(project, "select") as tick:
        tick()
        report = project / ".rootstock" / "progress.json"
        report.write_text(json.dumps({"text": "features", "done": 3, "total": 9}), encoding="utf-8")
        tick()
    assert "✓" in terminal.getvalue()
    assert "select" in terminal.getvalue()
    assert not report.exists()


@pytest.mark.parametrize("content", ["", "{", None])
def test_half_written_report_is_passed_over(project: Path, content: str | None) -> None:
    path = project / "progress.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert live._read(path) == ""


def test_report_is_read_as_a_line(project: Path) -> None:
    path = project / "progress.json"
    path.write_text(json.dumps({"text": "features", "done": 3, "total": 9}), encoding="utf-8")
    assert live._read(path) == "features 3/9"


def test_report_is_gone_when_the_stage_failed(project: Path) -> None:
    with pytest.raises(RuntimeError), live.shown(project, "select"):
        raise RuntimeError
    assert environment.get(environment.PROGRESS_FILE) is None
