"""Ask git, in a process of its own; a project outside any repository gets the empty answers."""

import subprocess
from pathlib import Path

_NO_CODE = ("params.yaml", "dvc.lock")


def tracks(project: Path, path: str) -> bool:
    """Say whether git tracks any file at or below a path."""
    return bool(_output(project, "ls-files", "--", path))


def head(project: Path) -> str | None:
    """Return the commit that is checked out; None outside a repository or before the first commit."""
    return _output(project, "rev-parse", "--verify", "-q", "HEAD") or None


def is_dirty(project: Path) -> bool:
    """Say whether the folder holds changed or new files that the checked-out commit lacks, ignored ones apart.

    Parameters, and DVC's record of what they led to, are no code: they have digests of their own.
    """
    return bool(_output(project, "status", "--porcelain", "--", ".", *(f":(exclude){name}" for name in _NO_CODE)))


def committed(project: Path, path: str) -> str | None:
    """Return a file's text as the checked-out commit has it; None when it has none."""
    text = _output(project, "show", f"HEAD:./{path}")
    return text + "\n" if text else None


def _output(project: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
