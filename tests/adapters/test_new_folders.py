"""A folder is there whole or not at all, whatever ends the one who makes it."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.new_folders import new_folder, whole
from transfer.errors import EnvironmentFault, UserError

_HALF_MADE = """
import time
from pathlib import Path
from adapters.new_folders import new_folder
with new_folder(Path.cwd(), Path.cwd() / "data/photos") as staged:
    (staged / "a").mkdir()
    (staged / "a/1.png").write_bytes(b"half")
    Path("begun").touch()
    time.sleep(60)
"""


def test_a_finished_folder_takes_its_name(project: Path) -> None:
    with new_folder(project, project / "data/photos") as staged:
        (staged / "inner").mkdir()
        (staged / "inner/1.png").touch()
        whole(staged / "inner", project / "data/photos")
    assert [path.name for path in (project / "data").iterdir()] == ["photos"]
    assert (project / "data/photos/1.png").is_file()


def test_a_failure_leaves_nothing(project: Path) -> None:
    def fill() -> None:
        with new_folder(project, project / "data/photos") as staged:
            (staged / "1.png").touch()
            raise UserError("no.")

    with pytest.raises(UserError, match="no"):
        fill()
    assert [*(project / "data").iterdir()] == []


def test_a_kill_leaves_no_data_set_and_the_next_one_clears_up(project: Path, root: Path) -> None:
    process = subprocess.Popen((sys.executable, "-c", _HALF_MADE), env={**os.environ, "PYTHONPATH": str(root)})
    while not (project / "begun").exists():
        assert process.poll() is None
        time.sleep(0.02)
    target = project / "data/photos"
    with pytest.raises(UserError, match=r"Another import is at work"), new_folder(project, project / "data/other"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    assert len([*target.parent.iterdir()]) == 1
    with new_folder(project, project / "data/other") as staged:
        whole(staged, project / "data/other")
    assert [path.name for path in target.parent.iterdir()] == ["other"]


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_is_never_touched(project: Path, there: str) -> None:
    target = project / "photos"
    {"folder": target.mkdir, "file": target.touch, "link": lambda: target.symlink_to("nowhere")}[there]()
    with pytest.raises(UserError, match=r"photos is there already"), new_folder(project, target):
        pass
    assert os.path.lexists(target)


def test_what_another_project_makes_beside_it_stays(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "shared/.theirs.import.part"
    (other / "a").mkdir(parents=True)
    (tmp_path / "shared/.ours.import.part/left").mkdir(parents=True)
    with new_folder(project, tmp_path / "shared/ours") as staged:
        assert [*staged.iterdir()] == []
        whole(staged, tmp_path / "shared/ours")
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == [".theirs.import.part", "ours"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, r"The disk is full while .*data/photos is made; free some space"),
        (
            errno.EACCES,
            r"data/photos cannot be made \(Permission denied: there.png\); mend that, or name another place",
        ),
    ],
)
def test_what_the_system_refuses_is_told(project: Path, number: int, sentence: str) -> None:
    def fill() -> None:
        with new_folder(project, project / "data/photos"):
            raise OSError(number, os.strerror(number), "there.png")

    with pytest.raises(EnvironmentFault, match=sentence):
        fill()
    assert [*(project / "data").iterdir()] == []


def test_a_place_that_cannot_be_made_is_the_environments(project: Path) -> None:
    (project / "file").touch()
    for place in ("file/photos", "x" * 300):
        with pytest.raises(EnvironmentFault, match=r"cannot be made"), new_folder(project, project / place):
            pass
