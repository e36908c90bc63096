"""A minute of fuzzing; `python -m tests.fuzz --minutes 10` does more."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("target", ["image", "manifest", "scan", "copies"])
def test_random_changes_end_in_an_answer_or_a_sentence(target: str, root: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.fuzz", "--minutes", "0.2", "--target", target, "--found", str(tmp_path))
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, "0 rounds failed" in done.stdout) == (0, True), done.stdout + done.stderr
