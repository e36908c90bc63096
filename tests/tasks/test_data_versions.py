"""The history of a data set: from git's and DVC's records, and from the registry."""

import json
import shutil
from pathlib import Path

import pytest

from adapters.data_history import history
from adapters.git_copies import commit_of
from adapters.mlflow_store import open_client
from flows.cli import main
from tasks.data_diff import difference
from tasks.data_versions import versions
from tests.tasks.changed_data import N_PER_CLASS, digest_of, dvc, git
from transfer.errors import UserError


@pytest.fixture
def changed(changed_once: Path, migrated_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make such a project of a test's own, with an empty registry, and change into it."""
    project = Path(shutil.copytree(changed_once, tmp_path / "one", symlinks=True)) / "project"
    (project / "mlruns").mkdir(exist_ok=True)
    shutil.copyfile(migrated_database, project / "mlruns" / "mlflow.db")
    monkeypatch.chdir(project)
    return project


def test_each_state_has_its_commit_and_what_changed(changed: Path) -> None:
    path, (second, first) = versions(None, 10)
    assert path == "data/set"
    assert (second.commit, first.commit) == (commit_of(changed, "HEAD"), commit_of(changed, "v1"))
    assert (second.digest, first.tags, first.subject) == (digest_of(changed), ("v1",), "the first images")
    assert (first.files, second.files) == (3 * N_PER_CLASS + 1, 3 * N_PER_CLASS + 21)
    assert first.changes == {"added": 3 * N_PER_CLASS + 1, "removed": 0, "changed": 0, "moved": 0}
    assert second.changes == {"added": 21, "removed": 1, "changed": 2, "moved": 2}
    assert (second.files_here, second.models) == (second.files, ())
    assert second.size_bytes is not None
    assert [one.digest for one in versions("data/set", 1)[1]] == [second.digest]
    assert versions("data/set", 1)[1][0].changes == second.changes
    params = changed / "params.yaml"
    params.write_text(
        params.read_text(encoding="utf-8").replace("path: data/set ", "path: ./data/set/ "), encoding="utf-8"
    )
    assert versions(None, 1)[0] == "data/set"
    assert difference("v1", "HEAD").before.digest == first.digest


def test_what_no_commit_has_comes_first(changed: Path) -> None:
    dvc(changed, "add", "data/set")  # an image is gone since
    newest, second, _ = versions(None, 10)[1]
    assert (newest.commit, newest.subject, newest.changes) == (
        None,
        "not committed",
        {"added": 0, "removed": 1, "changed": 0, "moved": 0},
    )
    git(changed, "commit", "--quiet", "--all", "--message", "back again")
    git(changed, "revert", "--no-edit", "HEAD")
    found = versions(None, 10)[1]
    assert [one.digest for one in found] == [second.digest, newest.digest, second.digest, found[3].digest]


def test_commits_that_change_other_lines_bring_no_state(changed: Path) -> None:
    (changed / "data" / "set.dvc").unlink()
    (changed / "dvc.lock").write_text((changed / "dvc.lock").read_text().replace("cmd: python", "cmd: PYTHON"))
    git(changed, "add", "--all", "--force", "data/set.dvc", "dvc.lock")
    git(changed, "commit", "--quiet", "--message", "recorded by the stage alone")
    git(changed, "tag", "later")
    found = list(history(changed, "data/set"))
    assert [one.subject for one in found] == ["more images", "the first images"]
    assert found[0].tags == ("later",)
    assert list(history(changed, "data/other")) == []


def test_models_are_named_that_were_made_from_a_state(changed: Path) -> None:
    client = open_client()
    client.create_registered_model("shapes")
    client.create_model_version("shapes", str(changed / "files"), None, tags={"data_digest": digest_of(changed)})
    client.set_registered_model_alias("shapes", "champion", "1")
    assert [one.models for one in versions(None, 10)[1]] == [("shapes/1@champion",), ()]


def test_what_is_not_here_is_said_not_to_be(changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(changed / ".dvc" / "cache")
    second, first = versions(None, 10)[1]
    assert (second.changes, first.changes, second.files_here) == (None, None, 0)
    assert second.files == 3 * N_PER_CLASS + 21  # as DVC recorded it


def test_nothing_recorded_is_a_sentence(changed: Path) -> None:
    with pytest.raises(UserError, match="Neither DVC nor a commit has recorded data/other here; no registered model"):
        versions("data/other", 10)


def test_people_get_a_table_and_programs_json(
    changed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["data", "versions"], ["data", "versions", "data/set", "--most", "1", "--json"]):
        monkeypatch.setattr("sys.argv", ["rootstock", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
    table, _, listed = capsys.readouterr().out.partition("{")
    assert "+21 -1 ~2 >2" in table
    assert "[v1] the first images" in table
    assert [one["digest"] for one in json.loads("{" + listed)["versions"]] == [digest_of(changed)]
