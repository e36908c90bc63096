"""A killed process that nobody buried does not keep a project busy."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.dvc_busy import forget_dead


@pytest.fixture
def zombie() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def record(project: Path, **held: object) -> Path:
    path = project / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(held), encoding="utf-8")
    return path


def test_zombies_are_dropped_and_the_living_kept(project: Path, zombie: int) -> None:
    dead, alive = {"pid": zombie, "cmd": "dvc repro"}, {"pid": os.getpid(), "cmd": "dvc status"}
    path = record(project, write={"a": dead, "b": alive}, read={"c": [dead], "d": [dead, alive]})
    forget_dead(project)
    assert json.loads(path.read_text(encoding="utf-8")) == {"write": {"b": alive}, "read": {"d": [alive]}}


def test_status_answers_while_a_zombie_holds_a_path(project: Path, zombie: int) -> None:
    from adapters import dvc_commands

    place = str(project / "artifacts/evaluate/metrics.json")
    record(project, write={place: {"pid": zombie, "cmd": "dvc repro"}}, read={})
    assert "evaluate" in dvc_commands.status(project)


def test_record_without_zombies_is_not_touched(project: Path) -> None:
    path = record(project, write={}, read={"c": [{"pid": os.getpid(), "cmd": "dvc"}]})
    before = path.stat().st_mtime_ns
    forget_dead(project)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("text", [None, "", "{"])
def test_absent_and_half_written_records_are_left_to_dvc(project: Path, text: str | None) -> None:
    path = project / ".dvc" / "tmp" / "rwlock"
    if text is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    forget_dead(project)
    assert path.exists() == (text is not None)
