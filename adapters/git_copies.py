"""Keep what a commit lacks of the code, and bring code back as it was; the repository itself is only read."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.git_commands import ask
from transfer.errors import EnvironmentFault

_ALWAYS = ("-c", "advice.detachedHead=false", "-c", f"core.hooksPath={os.devnull}")
# A patch that `git apply` takes, whatever the user's settings make of one for the eye.
_AS_IT_IS = (
    *("--binary", "--full-index", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=none"),
)


def has_commit(project: Path, commit: str) -> bool:
    """Say whether the repository still holds a commit."""
    return _ask(project, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def commit_of(project: Path, revision: str) -> str | None:
    """Return the commit that a revision names (a branch, a tag, HEAD~1); None when it names none."""
    if revision.startswith("-"):  # git would take it for an option
        return None
    done = _ask(project, "rev-parse", "--verify", "-q", f"{revision}^{{commit}}")
    return done.stdout.decode().strip() or None


def text_at(project: Path, commit: str, path: str) -> str | None:
    """Return a file's text as a commit has it; None when it has none.

    Args:
        project: the project's folder.
        commit: a commit.
        path: relative to the project.
    """
    done = _ask(project, "show", f"{commit}:./{path}")
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def changes(project: Path, paths: Sequence[str]) -> bytes:
    """Return what the checked-out commit lacks, new files that are not ignored included, as a binary patch.

    Args:
        project: the project's folder, in a repository with a commit.
        paths: files and folders that count, relative to the project.

    Raises:
        EnvironmentFault: git failed.
    """
    with tempfile.TemporaryDirectory(prefix="rootstock-") as scratch:
        kept = Path(scratch)
        apart = {  # the repository's own index and objects stay as they are
            "GIT_INDEX_FILE": str(kept / "index"),
            "GIT_OBJECT_DIRECTORY": str(kept / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(_inside(project, "objects")),
        }
        (kept / "objects").mkdir()
        _output(project, "read-tree", "HEAD", more=apart)
        there = [path for path in paths if (project / path).exists() or _output(project, "ls-files", "--", path)]
        if there:
            _output(project, "add", "-A", "--", *there, more=apart)
        return _output(project, "diff-index", "--cached", "-p", *_AS_IT_IS, "HEAD", more=apart)


def check_out(project: Path, commit: str, target: Path) -> Path:
    """Make a copy of the repository at a commit; return the folder in it that the project is.

    It borrows the objects of the repository, all of them: a clone has only what branches reach, and of a shallow one it
    borrows nothing. The repository does not learn of it.

    Args:
        project: the project's folder.
        commit: a commit that the repository holds.
        target: folder to make.

    Raises:
        EnvironmentFault: git failed.
    """
    within = _output(project, "rev-parse", "--show-prefix").decode().strip()
    objects, ends = (_inside(project, name) for name in ("objects", "shallow"))
    kind = _output(project, "rev-parse", "--show-object-format").decode().strip()
    target.mkdir(parents=True, exist_ok=True)
    _output(target, "init", "--quiet", "--template=", f"--object-format={kind}")
    (target / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (target / ".git" / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
    if ends.is_file():  # the commits whose parents the repository does not have
        shutil.copyfile(ends, target / ".git" / "shallow")
    _output(target, "checkout", "--quiet", "--detach", commit)
    return target / within


def apply(repository: Path, patch: Path) -> None:
    """Apply a patch of `changes` to a copy.

    Raises:
        EnvironmentFault: git failed.
    """
    _output(repository, "apply", "--binary", "--whitespace=nowarn", str(patch))


def begin(folder: Path) -> bool:
    """Make a folder a repository of its own, so that no repository around it is taken for it; say whether git could."""
    return _ask(folder, "init", "--quiet").returncode == 0


def _inside(project: Path, name: str) -> Path:
    """Return the place of a file or folder of the repository itself."""
    return (project / os.fsdecode(_output(project, "rev-parse", "--git-path", name)).rstrip("\n")).resolve()


def _output(place: Path, *arguments: str, more: Mapping[str, str] | None = None) -> bytes:
    done = _ask(place, *arguments, more=more)
    if done.returncode != 0:
        words = " ".join(done.stderr.decode(errors="replace").split())[:300].rstrip(".")
        raise EnvironmentFault(f"`git {arguments[0]}` failed in {place} ({words}); mend the repository and run again.")
    return done.stdout


def _ask(place: Path, *arguments: str, more: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[bytes]":
    return ask(place, *_ALWAYS, *arguments, more=more)
