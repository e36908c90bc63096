"""Data of then in a working copy: from the project's cache, from its remote, or not at all."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import dvc_cache, dvc_copies
from adapters.dvc_cache import code_digest
from transfer.errors import UserError


def dvc(project: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=project, check=True, capture_output=True)


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Path:
    """Make a project whose data have moved on from a state that its cache and its remote hold; return a copy of it."""
    (project / "data" / "set" / "a").mkdir(parents=True)
    (project / "data" / "set" / "a" / "1.txt").write_text("then", encoding="utf-8")
    dvc(project, "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    dvc(project, "add", "-q", "data/set")
    dvc(project, "push", "-q")
    (project / "data" / "set" / "a" / "2.txt").write_text("now", encoding="utf-8")
    dvc(project, "add", "-q", "data/set")
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(("git", "init", "--quiet"), cwd=copy, check=True)
    dvc_copies.begin(project, copy)
    return copy


@pytest.fixture
def digest(tmp_path: Path) -> str:
    """Return the digest of the state of then."""
    (tmp_path / "then" / "a").mkdir(parents=True)
    (tmp_path / "then" / "a" / "1.txt").write_text("then", encoding="utf-8")
    return code_digest(tmp_path / "then")


def test_the_cache_gives_the_state_of_then_and_the_copy_has_one_of_its_own(
    project: Path, copied: Path, digest: str
) -> None:
    before = sorted(path.relative_to(project) for path in (project / ".dvc" / "cache").rglob("*"))
    dvc_copies.bring_back(project, copied, "data/set", digest)
    assert code_digest(copied / "data" / "set") == digest
    assert not (copied / "data" / "set.dvc").exists()
    assert dvc_cache.cache_folder(copied) == (copied / ".dvc" / "cache").resolve()
    assert sorted(path.relative_to(project) for path in (project / ".dvc" / "cache").rglob("*")) == before
    shutil.rmtree(copied)
    assert dvc_cache.kept(project, digest).whole


def test_the_remote_gives_what_the_cache_lost(project: Path, copied: Path, digest: str) -> None:
    shutil.rmtree(project / ".dvc" / "cache")
    dvc_copies.bring_back(project, copied, "data/set", digest)
    assert code_digest(copied / "data" / "set") == digest


def test_what_neither_holds_is_refused(project: Path, copied: Path, digest: str, tmp_path: Path) -> None:
    shutil.rmtree(project / ".dvc" / "cache")
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(UserError, match="the DVC cache holds nothing of it, and the remote store gave no more"):
        dvc_copies.bring_back(project, copied, "data/set", digest)
    dvc(project, "remote", "remove", "store")
    with pytest.raises(UserError, match="holds nothing of it, and there is no remote; put that state"):
        dvc_copies.bring_back(project, copied, "data/set", digest)
