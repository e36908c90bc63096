"""A stage process ends one way: an exit code, one sentence, and a record for whoever started it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

STAGE = """
import sys, time
from prefect import flow
from tasks.stage import run_stage
from tasks.step import step
from transfer.errors import EnvironmentFault, UserError

@step
def work() -> None:
    {body}

@flow(name="demo")
def demo() -> None:
    work()

run_stage(demo)
"""


def start(folder: Path, body: str, **environment: str) -> "subprocess.Popen[str]":
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "ROOTSTOCK_", "DVC_"))
    }
    return subprocess.Popen(
        [sys.executable, "-c", STAGE.format(body=body)],
        cwd=folder,
        env={**inherited, "PREFECT_HOME": str(folder / ".prefect"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ending(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def test_finished_stage_writes_the_seconds_of_its_steps(tmp_path: Path) -> None:
    assert ending(start(tmp_path, "time.sleep(0.05)")) == (0, "")
    seconds = json.loads((tmp_path / "artifacts/demo/observed.json").read_text())["seconds"]
    assert 0.05 <= seconds["steps"]["work"] <= seconds["total"]


def test_a_stage_that_cannot_be_shared_says_so(tmp_path: Path) -> None:
    sentence = "demo runs in one process; start it without torchrun.\n"
    assert ending(start(tmp_path, "time.sleep(0)", RANK="1", WORLD_SIZE="2")) == (2, sentence)
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [("UserError('No images in x; add some.')", 2), ("EnvironmentFault('No images in x; add some.')", 1)],
)
def test_known_error_is_one_sentence_and_a_record(tmp_path: Path, error: str, code: int) -> None:
    assert ending(start(tmp_path, f"raise {error}")) == (code, "No images in x; add some.\n")
    record = json.loads((tmp_path / ".rootstock/failure.json").read_text())
    assert record == {
        "stage": "demo",
        "exit_code": code,
        "sentence": "No images in x; add some.",
        "traceback_file": None,
    }


def test_unexpected_error_keeps_its_traceback_out_of_the_way(tmp_path: Path) -> None:
    code, stderr = ending(start(tmp_path, "[][1]"))
    assert code == 1
    assert "IndexError" in stderr
    assert "Traceback" not in stderr
    assert "IndexError" in (tmp_path / ".rootstock/logs/demo.traceback").read_text()


def test_full_disk_ends_with_one(tmp_path: Path) -> None:
    code, stderr = ending(start(tmp_path, "raise OSError(28, 'No space left on device')"))
    assert (code, stderr.count("\n")) == (1, 1)
    assert "disk is full" in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_stage_ends_with_130_and_can_run_again(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "open('here', 'w').close(); time.sleep(30)")
    deadline = time.monotonic() + 30
    while not (tmp_path / "here").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    code, stderr = ending(process)
    assert code == 130
    assert "run the same command again" in stderr
    assert ending(start(tmp_path, "pass")) == (0, "")


def test_stage_never_records_on_the_server_of_another_project(
    tmp_path: Path, answering: Callable[[str], AbstractContextManager[str]]
) -> None:
    with answering("/another/project/.prefect") as url:  # it has no flows: a stage that used it would fail
        (tmp_path / "prefect.toml").write_text(f'[api]\nurl = "{url}"\n', encoding="utf-8")
        assert ending(start(tmp_path, "pass")) == (0, "")


def test_copy_of_the_workspace_is_refused(tmp_path: Path) -> None:
    code, stderr = ending(start(tmp_path, "pass", DVC_ROOT="/somewhere/else"))
    assert code == 2
    assert "dvc exp run -S" in stderr
