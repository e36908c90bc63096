"""Rooms for working copies: nothing is left of them, nothing of the project is touched, paths above it stay inside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import environment
from adapters.working_copies import apart, depth, lend, place_for_copy, room
from transfer.errors import UserError

HOLD = """
import sys, time
from pathlib import Path
from adapters.working_copies import room
with room(Path.cwd(), None, keep=False) as folder:
    (folder / "half").write_text("done")
    print(folder, flush=True)
    time.sleep(60)
"""


def rooms(project: Path) -> list[str]:
    return sorted(path.name for path in (project / ".rootstock" / "reproduce").iterdir())


def test_a_room_is_gone_afterwards_also_after_a_failure(project: Path) -> None:
    with room(project, None, keep=False) as folder:
        (folder / "a").mkdir()
        (folder / "a" / "file").write_text("x", encoding="utf-8")
        (folder / "a" / "file").chmod(0o444)
        assert folder.is_relative_to(project / ".rootstock")
    assert rooms(project) == []
    with pytest.raises(KeyboardInterrupt), room(project, None, keep=False):
        raise KeyboardInterrupt
    assert rooms(project) == []


def test_a_kept_room_stays_through_the_next(project: Path, tmp_path: Path) -> None:
    with room(project, None, keep=True) as folder:
        (folder / "file").write_text("x", encoding="utf-8")
    with room(project, tmp_path / "named", keep=True):
        pass
    assert (folder / "file").is_file()
    assert (tmp_path / "named").is_dir()


def test_a_folder_that_holds_something_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("x", encoding="utf-8")
    for place in (tmp_path / "full", tmp_path / "full" / "precious"):
        with pytest.raises(UserError, match="holds something already"), room(project, place, keep=False):
            pass
    assert (tmp_path / "full" / "precious").is_file()


def test_the_next_removes_what_a_killed_one_left_and_nothing_of_a_living_one(project: Path, root: Path) -> None:
    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)}
        )

    killed, living = start(), start()
    try:
        assert killed.stdout is not None
        assert living.stdout is not None
        left, used = (Path(process.stdout.readline().strip()) for process in (killed, living))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "half").is_file()
        with room(project, None, keep=False):
            assert not left.exists()
            assert (used / "half").is_file()
    finally:
        for process in (killed, living):
            process.kill()
            process.communicate()


def test_links_are_removed_and_not_what_they_lead_to(project: Path) -> None:
    (project / "data").mkdir()
    (project / "data" / "picture").write_text("x", encoding="utf-8")
    with room(project, None, keep=False) as folder:
        lend(project, folder / "project", "data")
        assert (folder / "project" / "data" / "picture").read_text(encoding="utf-8") == "x"
    assert (project / "data" / "picture").is_file()


@pytest.mark.parametrize(
    ("paths", "levels"),
    [((), 0), (("data/digits", "/abs/photos"), 0), (("../photos",), 1), (("a/../../../photos", "../x"), 2)],
)
def test_paths_above_the_project_stay_in_the_room(project: Path, paths: tuple[str, ...], levels: int) -> None:
    assert depth(paths) == levels
    outside = project.parent.parent / "photos"
    outside.mkdir(exist_ok=True)
    with room(project, None, keep=False) as folder:
        copy = place_for_copy(folder, levels)
        copy.mkdir(parents=True)
        for path in paths:
            if not Path(path).is_absolute():
                assert Path(os.path.normpath(copy / path)).is_relative_to(folder)
        lend(project, copy, "../../photos")
        if levels == 2:
            assert (copy / "../../photos").resolve() == outside.resolve()


def test_apart_nothing_names_what_is_the_project_s(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"MLFLOW_TRACKING_URI": "http://example.invalid", "ROOTSTOCK_MEMORY": "/elsewhere", "PREFECT_HOME": "/home"}
    for name, value in {**kept, "ROOTSTOCK_WEIGHTS": "/store"}.items():
        monkeypatch.setenv(name, value)
    copy = project / "copy"
    copy.mkdir()
    before = dict(os.environ)
    with apart(copy):
        assert Path.cwd() == copy
        assert environment.get("MLFLOW_TRACKING_URI") is None
        assert environment.get("ROOTSTOCK_MEMORY") is None
        assert environment.get("PREFECT_HOME") == str(copy / ".prefect")
        assert environment.get("ROOTSTOCK_WEIGHTS") == "/store"
    assert Path.cwd() == project
    assert {name: os.environ[name] for name in kept} == kept
    assert {name: value for name, value in os.environ.items() if name.startswith("PREFECT_")} == {
        name: value for name, value in before.items() if name.startswith("PREFECT_")
    }


def test_a_room_that_cannot_be_made_is_refused(project: Path) -> None:
    (project / "a_file").touch()
    with pytest.raises(UserError, match="a_file/x cannot be made"), room(project, project / "a_file" / "x", keep=False):
        pass
    assert not [*(project / ".rootstock/reproduce").iterdir()]
