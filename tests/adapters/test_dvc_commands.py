"""Talking to the real DVC, in a real repository."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from adapters import dvc_commands, dvc_lock
from transfer.errors import EnvironmentFault, UserError

GRAPH = """
stages:
  copy:
    cmd: cp ${data.path}/a.txt out.txt && echo '{}' > seen.json
    deps: ["${data.path}"]
    params: [data]
    outs: [out.txt]
    metrics: [{seen.json: {cache: false}}]
  slow:
    cmd: touch started && sleep 60
    deps: [out.txt]
    outs: [slow.txt]
  manifest:
    cmd: cp out.txt m.txt
    deps: ["${data.path}", out.txt]
    params: [data]
    outs: [m.txt]
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.txt").write_text("a")
    (tmp_path / "params.yaml").write_text("data: {path: set}\n")
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reproduce(project: Path, stage: str, run_cache: bool = True) -> int:
    return dvc_commands.repro(project, stage, project / "log.txt", lambda: None, run_cache=run_cache)


def test_stage_is_stale_until_it_ran_and_again_after_its_data_changed(repository: Path) -> None:
    assert "copy" in dvc_commands.status(repository)
    assert reproduce(repository, "copy") == 0
    assert (repository / "out.txt").read_text() == "a"
    assert "copy" not in dvc_commands.status(repository)
    (repository / "set/a.txt").write_text("b")
    assert "copy" in dvc_commands.status(repository)


def test_failed_stage_keeps_dvcs_complaint_in_the_log(repository: Path) -> None:
    (repository / "set/a.txt").unlink()
    assert reproduce(repository, "copy") != 0
    assert "failed to reproduce 'copy'" in dvc_commands.complaint(repository / "log.txt")


def test_interrupt_ends_the_stage_and_everything_below(repository: Path) -> None:
    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not (repository / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        reproduce(repository, "slow")
    thread.join()
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 60" not in listing
    assert "dvc repro slow" not in listing


def test_broken_graph_is_reported_in_dvcs_words(repository: Path) -> None:
    (repository / "dvc.yaml").write_text("stages: {copy: {}}\n")
    with pytest.raises(EnvironmentFault, match="`dvc status` failed"):
        dvc_commands.status(repository)


def test_outputs_are_those_of_the_graph(repository: Path) -> None:
    assert dvc_commands.outputs(repository) == [Path("out.txt"), Path("seen.json"), Path("slow.txt"), Path("m.txt")]


def test_data_digest_is_the_one_dvc_recorded(repository: Path) -> None:
    assert dvc_lock.data_digest(repository) is None
    assert reproduce(repository, "manifest") == 0
    digest = dvc_lock.data_digest(repository)
    assert digest is not None
    assert digest.endswith(".dir")
    assert len(digest) == 36


def test_add_refuses_what_git_tracks(repository: Path) -> None:
    subprocess.run(["git", "add", "set"], cwd=repository, check=True)
    with pytest.raises(UserError, match="dvc add set"):
        dvc_commands.add(repository, "set")


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        ("ERROR: no such stage.\n", "no such stage"),
        (
            "ERROR: 'x' is busy, blocked by:\n  (PID 7): dvc repro\n\nIf not\n",
            "'x' is busy, blocked by: (PID 7): dvc repro",
        ),
        ("ERROR: first.\nmore\nERROR: last.\n", "last"),
        ("all is well\n", "it left no message"),
    ],
)
def test_complaint_is_dvcs_last_error_as_a_part_of_a_sentence(tmp_path: Path, printed: str, sentence: str) -> None:
    (tmp_path / "log").write_text(printed, encoding="utf-8")
    assert dvc_commands.complaint(tmp_path / "log") == sentence
