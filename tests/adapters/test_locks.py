"""One writer per project, whichever door it came through."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import environment
from adapters.locks import ProjectBusyError, holder_of, project_lock, stage_lock
from transfer.errors import EnvironmentFault

HOLD = """
import sys
from pathlib import Path
from adapters.locks import project_lock
with project_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_run(tmp_path: Path):  # type: ignore[no-untyped-def]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_second_run_is_told_who_holds_the_project(tmp_path: Path, other_run: "subprocess.Popen[str]") -> None:
    with pytest.raises(ProjectBusyError, match=f"process {other_run.pid} is running"), project_lock(tmp_path):
        pass


def test_bare_stage_waits_for_no_run_but_refuses(tmp_path: Path, other_run: "subprocess.Popen[str]") -> None:
    with pytest.raises(ProjectBusyError), stage_lock(tmp_path):
        pass
    assert holder_of(tmp_path / ".rootstock" / "run.lock") == other_run.pid


def test_lock_of_a_killed_run_is_free(tmp_path: Path, other_run: "subprocess.Popen[str]") -> None:
    other_run.kill()
    other_run.wait()
    with project_lock(tmp_path):
        assert environment.get(environment.LOCK_HOLDER) == str(os.getpid())
    assert environment.get(environment.LOCK_HOLDER) is None


def test_stage_of_the_run_that_holds_the_project_may_work(tmp_path: Path) -> None:
    with project_lock(tmp_path), stage_lock(tmp_path):
        assert (tmp_path / ".rootstock" / "stage.lock").exists()


def test_second_stage_is_kept_out_even_by_the_same_run(tmp_path: Path) -> None:
    imports = "import sys; from pathlib import Path; from adapters.locks import stage_lock"
    command = [sys.executable, "-c", f"{imports}\nwith stage_lock(Path(sys.argv[1])): pass", str(tmp_path)]
    with project_lock(tmp_path), stage_lock(tmp_path):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ProjectBusyError" in done.stderr


def test_stage_whose_run_was_killed_before_it_began_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.LOCK_HOLDER, "1")
    with pytest.raises(EnvironmentFault, match="is gone"), stage_lock(tmp_path):
        pytest.fail("an orphan writes")
