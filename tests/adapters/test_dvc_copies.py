"""Data of then in a working copy: from the project's cache, from its remote, or not at all."""

import configparser
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import dvc_cache, dvc_copies
from adapters.dvc_cache import code_digest
from transfer.errors import UserError


def dvc(project: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=project, check=True, capture_output=True)


@pytest.fixture(scope="module")
def moved_on(tmp_path_factory: pytest.TempPathFactory, lay_out: Callable[[Path], None]) -> Path:
    """Make a folder with a project whose data have moved on from a state that its cache and its remote hold."""
    folder = tmp_path_factory.mktemp("moved_on")
    project = folder / "project"
    lay_out(project)
    (project / "data" / "set" / "a").mkdir(parents=True)
    (project / "data" / "set" / "a" / "1.txt").write_text("then", encoding="utf-8")
    dvc(project, "remote", "add", "-q", "-d", "store", "../store")  # DVC writes ../../store
    dvc(project, "add", "-q", "data/set")
    dvc(project, "push", "-q")
    (project / "data" / "set" / "a" / "2.txt").write_text("now", encoding="utf-8")
    dvc(project, "add", "-q", "data/set")
    return folder


@pytest.fixture
def project(moved_on: Path, tmp_path: Path) -> Path:
    """Make such a project of a test's own, its remote beside it."""
    return Path(shutil.copytree(moved_on, tmp_path / "one" / "moved_on", symlinks=True)) / "project"


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Path:
    """Make a copy of the project, elsewhere."""
    copy = tmp_path / "copies" / "of" / "it"
    copy.mkdir(parents=True)
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


def test_what_neither_holds_is_refused(project: Path, copied: Path, digest: str) -> None:
    shutil.rmtree(project / ".dvc" / "cache")
    shutil.rmtree(project.parent / "store")
    with pytest.raises(UserError, match="the DVC cache holds nothing of it, and the remote store gave no more"):
        dvc_copies.bring_back(project, copied, "data/set", digest)
    (project / ".dvc" / "config").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="holds nothing of it, and there is no remote; put that state"):
        dvc_copies.bring_back(project, copied, "data/set", digest)


SETTINGS = """
['remote "store"']
    url = ../../store
    keyfile = keys/id, of mine
['remote "far"']
    url = ssh://host/path
    keyfile = ~/.ssh/id
    user = ../../me
"""
OWN = """
['remote "store"']
    credentialpath = "../secret"
"""


def test_paths_of_remotes_are_meant_from_the_project(tmp_path: Path) -> None:
    project, copy = tmp_path / "project", tmp_path / "copies" / "of" / "it"
    (project / ".dvc").mkdir(parents=True)
    copy.mkdir(parents=True)
    (project / ".dvc" / "config").write_text(SETTINGS, encoding="utf-8")
    (project / ".dvc" / "config.local").write_text(OWN, encoding="utf-8")
    dvc_copies.begin(project, copy)
    found = configparser.ConfigParser(interpolation=None)
    found.read(copy / ".dvc" / "config.local", encoding="utf-8")
    assert dict(found["'remote \"store\"'"]) == {
        "url": str(tmp_path / "store"),
        "keyfile": str(project / ".dvc" / "keys" / "id, of mine"),
        "credentialpath": f'"{project / "secret"}"',
    }
    far = {"url": "ssh://host/path", "keyfile": "~/.ssh/id", "user": "../../me"}
    assert dict(found["'remote \"far\"'"]) == far
