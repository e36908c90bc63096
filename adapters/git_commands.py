"""Ask git, in a process of its own; a project outside any repository gets the empty answers."""

import functools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_NO_CODE = ("params.yaml", "dvc.lock", "expectations/previous_data.json")


def tracks(project: Path, path: str) -> bool:
    """Say whether git tracks any file at or below a path."""
    return bool(_output(project, "ls-files", "--", path))


def head(project: Path) -> str | None:
    """Return the commit that is checked out; None outside a repository or before the first commit."""
    return _output(project, "rev-parse", "--verify", "-q", "HEAD") or None


def is_dirty(project: Path) -> bool:
    """Say whether the folder holds changed or new files that the checked-out commit lacks, ignored ones apart.

    Parameters, DVC's record of what they led to and what earlier data were like are no code: DVC has their digests.
    """
    return bool(_output(project, "status", "--porcelain", "--", ".", *(f":(exclude){name}" for name in _NO_CODE)))


def committed(project: Path, path: str) -> str | None:
    """Return a file's text as the checked-out commit has it; None when it has none."""
    text = _output(project, "show", f"HEAD:./{path}")
    return text + "\n" if text else None


def ask(place: Path, *arguments: str, more: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[bytes]":
    """Run git in a folder, of whose repository it speaks even where a hook of git has started this process.

    Args:
        place: the folder.
        arguments: of git.
        more: variables of its environment.

    Returns:
        What it answered; exit status 127 where git is not installed.
    """
    command = ["git", *arguments]
    try:
        inherited = {name: text for name, text in os.environ.items() if name not in _of_a_repository()}
        return subprocess.run(command, cwd=place, capture_output=True, check=False, env={**inherited, **(more or {})})
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, b"", b"git is not installed")


@functools.cache
def _of_a_repository() -> frozenset[str]:
    """Return the variables that name a repository (GIT_DIR, GIT_INDEX_FILE): git itself sets them for its children."""
    done = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=False)
    return frozenset(done.stdout.split())


def _output(project: Path, *arguments: str) -> str:
    done = ask(project, *arguments)
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
