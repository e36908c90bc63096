"""Code as it was: a commit, and what no commit holds, brought back into a copy."""

import subprocess
from pathlib import Path

import pytest

from adapters import git_copies
from adapters.git_commands import head
from transfer.errors import EnvironmentFault


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def tree(folder: Path) -> dict[str, bytes]:
    """Return the code of a folder."""
    files = [path for name in ("tasks", "backbones") for path in (folder / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(params=["", "inner"])
def changed(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Make a project, at the top of a repository or below it, whose code no commit holds; return its folder."""
    repository = tmp_path / "repository"
    project = repository / request.param
    for name in ("tasks", "backbones", "data"):
        (project / name).mkdir(parents=True)
    git(repository, "init", "--quiet")
    git(repository, "config", "user.name", "tests")
    git(repository, "config", "user.email", "tests@example.invalid")
    (project / "tasks" / "kept.py").write_text("one\n", encoding="utf-8")
    (project / "tasks" / "gone.py").write_text("two\n", encoding="utf-8")
    (project / "backbones" / "weights").write_bytes(bytes(range(256)))
    (project / ".gitignore").write_text("*.pyc\n", encoding="utf-8")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "first")
    (project / "tasks" / "kept.py").write_text("one, changed \n", encoding="utf-8")
    (project / "tasks" / "gone.py").unlink()
    (project / "tasks" / "new.py").write_text("three", encoding="utf-8")
    (project / "tasks" / "new.pyc").write_text("ignored", encoding="utf-8")
    (project / "backbones" / "weights").write_bytes(bytes(range(255, -1, -1)))
    (project / "data" / "picture").write_bytes(b"no code")
    return project


def test_a_copy_at_the_commit_with_the_changes_is_the_code_as_it_was(changed: Path, tmp_path: Path) -> None:
    patch = tmp_path / "changes.patch"
    patch.write_bytes(git_copies.changes(changed, ("tasks", "backbones", "nosuch")))
    wanted = tree(changed)
    commit = head(changed)
    assert commit is not None
    git(changed, "add", "-A", ".")
    git(changed, "commit", "--quiet", "-m", "later")
    copy = git_copies.check_out(changed, commit, tmp_path / "copy")
    assert tree(copy) != wanted
    git_copies.apply(tmp_path / "copy", patch)
    del wanted["tasks/new.pyc"]
    assert tree(copy) == wanted
    assert not (copy / "data").exists()


def test_the_repository_that_a_hook_of_git_names_is_another_one(
    changed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked = tmp_path / "hooked"
    hooked.mkdir()
    git(hooked, "init", "--quiet")
    git(hooked, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "its own")
    branch, wanted = git(hooked, "symbolic-ref", "HEAD"), head(changed)
    plain = git_copies.changes(changed, ("tasks",))
    with monkeypatch.context() as hook:
        hook.setenv("GIT_DIR", str(hooked / ".git"))
        hook.setenv("GIT_WORK_TREE", str(hooked))
        hook.setenv("GIT_INDEX_FILE", str(hooked / ".git" / "index"))
        assert head(changed) == wanted
        assert wanted is not None
        assert git_copies.changes(changed, ("tasks",)) == plain
        git_copies.check_out(changed, wanted, tmp_path / "copy")
    assert git(hooked, "symbolic-ref", "HEAD") == branch
    assert head(tmp_path / "copy") == wanted


SETTINGS = """
[color]
    ui = always
[core]
    attributesFile = {attributes}
[diff]
    {prefix} = true
    external = false
    relative = true
    renames = copies
    submodule = log
    suppressBlankEmpty = true
    context = 0
[diff "shown"]
    textconv = rev
[apply]
    whitespace = error-all
"""


@pytest.mark.parametrize("prefix", ["noprefix", "mnemonicPrefix"])
def test_the_settings_of_a_user_change_no_patch(
    changed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    git(changed, "config", "core.autocrlf", "false")
    commit, plain, wanted = head(changed), git_copies.changes(changed, ("tasks", "backbones")), tree(changed)
    (tmp_path / "attributes").write_text("*.py diff=shown\n", encoding="utf-8")
    (tmp_path / "settings").write_text(
        SETTINGS.format(prefix=prefix, attributes=tmp_path / "attributes"), encoding="utf-8"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    patch = tmp_path / "changes.patch"
    patch.write_bytes(git_copies.changes(changed, ("tasks", "backbones")))
    assert patch.read_bytes() == plain
    assert commit is not None
    copy = git_copies.check_out(changed, commit, tmp_path / "copy")
    git_copies.apply(tmp_path / "copy", patch)
    assert tree(copy) == {name: content for name, content in wanted.items() if not name.endswith(".pyc")}


def test_a_commit_that_no_branch_reaches_is_brought_back_from_a_shallow_repository(
    changed: Path, tmp_path: Path
) -> None:
    git(changed, "add", "-A", ".")
    git(changed, "commit", "--quiet", "-m", "second")
    within = git(changed, "rev-parse", "--show-prefix")
    top = git(changed, "rev-parse", "--show-toplevel")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{top}", "shallow")
    project = tmp_path / "shallow" / within
    (project / "tasks" / "kept.py").write_text("on no branch\n", encoding="utf-8")
    git(project, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-a", "-m", "third")
    commit = head(project)
    assert commit is not None
    git(project, "reset", "--quiet", "--hard", "HEAD~1")
    copy = git_copies.check_out(project, commit, tmp_path / "copy")
    assert head(copy) == commit
    assert (copy / "tasks" / "kept.py").read_text(encoding="utf-8") == "on no branch\n"
    assert git(copy, "rev-list", "--count", "HEAD") == "2"
    assert git(copy, "status", "--porcelain") == ""


def test_reading_changes_leaves_the_repository_alone(changed: Path) -> None:
    def contents() -> dict[str, int]:
        top = Path(git(changed, "rev-parse", "--absolute-git-dir"))
        return {str(path): path.stat().st_mtime_ns for path in top.rglob("*") if path.is_file()}

    before = contents()
    staged = git(changed, "diff", "--cached")
    assert git_copies.changes(changed, ("tasks",))
    assert contents() == before
    assert git(changed, "diff", "--cached") == staged


def test_clean_code_has_no_changes(changed: Path) -> None:
    git(changed, "add", "-A", ".")
    git(changed, "commit", "--quiet", "-m", "all")
    assert git_copies.changes(changed, ("tasks", "backbones")) == b""


def test_revisions_are_those_of_git_and_no_options(changed: Path) -> None:
    commit = head(changed)
    assert commit is not None
    assert git_copies.commit_of(changed, "HEAD") == git_copies.commit_of(changed, commit[:9]) == commit
    for nothing in ("nosuch", "HEAD~5", "--all", "-h", ""):
        assert git_copies.commit_of(changed, nothing) is None
    assert git_copies.has_commit(changed, commit)
    assert not git_copies.has_commit(changed, "0" * 40)
    assert git_copies.text_at(changed, commit, "tasks/kept.py") == "one\n"
    assert git_copies.text_at(changed, commit, "tasks/new.py") is None


def test_a_patch_that_does_not_fit_is_a_fault(changed: Path, tmp_path: Path) -> None:
    patch = tmp_path / "changes.patch"
    patch.write_bytes(git_copies.changes(changed, ("tasks",)))
    with pytest.raises(EnvironmentFault, match="`git apply` failed"):
        git_copies.apply(Path(git(changed, "rev-parse", "--show-toplevel")), patch)


def test_without_a_repository_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_copies.commit_of(tmp_path, "HEAD") is None
    assert not git_copies.has_commit(tmp_path, "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_copies.text_at(tmp_path, "HEAD", "a") is None
