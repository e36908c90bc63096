"""What git knows of a project; nothing where there is no git."""

import subprocess
from pathlib import Path

import pytest

from adapters import git_commands


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(("git", *arguments), cwd=folder, check=True, capture_output=True)


@pytest.fixture
def committed(project: Path) -> Path:
    git(project, "add", "params.yaml")
    git(project, "commit", "--quiet", "-m", "first")
    return project


def test_tracked_are_files_and_the_folders_that_hold_them(project: Path) -> None:
    (project / "data/set").mkdir(parents=True)
    (project / "data/set/a.png").write_bytes(b"a")
    assert not git_commands.tracks(project, "data/set")
    git(project, "add", "data/set/a.png")
    assert git_commands.tracks(project, "data/set")
    assert git_commands.tracks(project, "data/set/a.png")
    assert not git_commands.tracks(project, "data/other")


def test_committed_text_is_the_checked_out_commits(committed: Path) -> None:
    text = (committed / "params.yaml").read_text(encoding="utf-8")
    (committed / "params.yaml").write_text("changed: 1\n", encoding="utf-8")
    assert git_commands.committed(committed, "params.yaml") == text
    assert git_commands.committed(committed, "dvc.lock") is None


def test_head_names_the_commit(committed: Path) -> None:
    head = git_commands.head(committed)
    assert head is not None
    assert len(head) == 40


def test_project_without_commits_has_empty_answers(project: Path) -> None:
    assert git_commands.head(project) is None
    assert git_commands.committed(project, "params.yaml") is None


def test_folder_outside_any_repository_has_empty_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commands.head(tmp_path) is None
    assert not git_commands.tracks(tmp_path, "x")


def test_machine_without_git_has_empty_answers(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_commands.head(committed) is None
    assert git_commands.committed(committed, "params.yaml") is None


def test_a_folder_is_dirty_where_it_holds_what_the_commit_lacks(project: Path) -> None:
    assert git_commands.is_dirty(project)
    (project / ".gitignore").write_text("ignored\n", encoding="utf-8")
    for arguments in (("add", "."), ("commit", "--quiet", "--message", "as it is")):
        subprocess.run(("git", *arguments), cwd=project, check=True)
    assert not git_commands.is_dirty(project)
    (project / "ignored").touch()
    assert not git_commands.is_dirty(project)
    (project / "new").touch()
    assert git_commands.is_dirty(project)
    (project / "new").unlink()
    (project / "dvc.lock").touch()
    (project / "params.yaml").write_text("changed", encoding="utf-8")
    assert not git_commands.is_dirty(project), "both have digests of their own"
    (project / "dvc.yaml").write_text("changed", encoding="utf-8")
    assert git_commands.is_dirty(project)
