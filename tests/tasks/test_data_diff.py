"""What differs between two states of a data set: from DVC's own records, against the changes that were made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters import dvc_cache
from adapters.data_lists import present
from adapters.manifest_file import MANIFEST, read_frame
from flows.cli import main
from tasks.data_diff import BY_MANIFESTS, difference
from tasks.data_diff_tables import plain
from tasks.data_shift import number_shifts
from tests.tasks.changed_data import N_PER_CLASS, digest_of, draw, dvc, git
from transfer.errors import UserError


@pytest.fixture
def changed(changed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make such a project of a test's own, and change into it."""
    project = Path(shutil.copytree(changed_once, tmp_path / "one", symlinks=True)) / "project"
    monkeypatch.chdir(project)
    return project


def told(first: str, second: str, most: int | None = None) -> dict[str, Any]:
    return plain(difference(first, second), most)


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["rootstock", *words])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    return int(end.value.code or 0), printed.out, printed.err


def test_every_change_between_two_commits_is_told(changed: Path) -> None:
    found = told("v1", "HEAD")
    assert (found["before"]["images"], found["after"]["images"]) == (3 * N_PER_CLASS, 3 * N_PER_CLASS + 20)
    assert found["after"]["digest"] == digest_of(changed)
    assert found["paths"]["added"] == [*(f"b/bright_{number:02d}.png" for number in range(20)), "c/copy.png"]
    assert found["paths"]["removed"] == ["c/0.png"]
    assert found["paths"]["changed"] == [{"from": "c/1.png", "to": "c/1.png"}]
    moved = {"from": "a/0.png", "to": "b/from_a.png"}
    assert found["paths"]["moved"] == [{"from": "a/1.png", "to": "a/renamed.png"}, moved]
    assert found["paths"]["moved_between_classes"] == [moved]
    assert found["paths"]["copied"] == [{"from": "a/2.png", "to": "c/copy.png"}]
    assert found["paths"]["copied_to_another_class"] == found["paths"]["copied"]
    assert found["paths"]["other_files"] == [{"from": "notes.txt", "to": "notes.txt"}]
    assert found["between_classes"] == [{"from": "a", "to": "b", "images": 1}]
    rows = {row["class"]: row for row in found["classes"]}
    assert (rows["b"]["before"], rows["b"]["after"], rows["b"]["added"], rows["b"]["moved_in"]) == (6, 27, 20, 1)
    assert rows["b"]["share_after"] == pytest.approx(27 / 38)


def test_it_is_what_dvc_says(changed: Path) -> None:
    words = [sys.executable, "-m", "dvc", "diff", "--json", "v1", "HEAD", "--targets", "data/set"]
    asked = json.loads(subprocess.run(words, cwd=changed, check=True, capture_output=True, text=True).stdout)
    found = told("v1", "HEAD")["paths"]

    def of_dvc(kind: str) -> set[str]:
        paths = {one["path"] for one in asked[kind]} - {"data/set/", "data/set/notes.txt"}
        return {path.removeprefix("data/set/") for path in paths}

    assert of_dvc("modified") == {one["to"] for one in found["changed"]}
    renamed = {(one["path"]["old"], one["path"]["new"]) for one in asked["renamed"]}
    assert renamed == {(f"data/set/{one['from']}", f"data/set/{one['to']}") for one in found["moved"]}
    assert of_dvc("added") == set(found["added"])
    assert of_dvc("deleted") == set(found["removed"])


def test_the_folder_is_taken_as_it_is_now(changed: Path) -> None:
    assert told("HEAD", "workspace")["paths"]["removed"] == ["c/5.png"]
    draw(changed / "data" / "set" / "c" / "2.png", seed=1)
    draw(changed / "data" / "set" / "c" / "new.png", seed=2)
    found = told("HEAD", "workspace")
    assert [one["to"] for one in found["paths"]["changed"]] == ["c/2.png"]
    assert found["paths"]["added"] == ["c/new.png"]
    dvc(changed, "add", "-q", "data/set")
    assert found["after"]["digest"] == digest_of(changed)
    assert dvc_cache.digest_of_folder(present(changed, "data/set")) == digest_of(changed)


def test_facts_of_what_came_are_set_beside_those_of_before(changed: Path) -> None:
    found = difference("v1", "HEAD")
    shifts = {one.fact: one for one in number_shifts(found)}
    brightness = shifts["brightness"]
    assert brightness.newcomers is not None
    assert brightness.newcomers.n_after == 22  # added and changed
    assert brightness.newcomers.mean_after > brightness.newcomers.mean_before + 0.15
    assert brightness.apart
    assert not shifts["width_px"].apart
    assert shifts["width_px"].all_images is not None
    assert shifts["width_px"].all_images.distance == 0.0
    kinds = {one["fact"]: one for one in plain(found, 1)["shift"]["kinds"]}
    assert kinds["class"]["distance"] == pytest.approx(27 / 38 - 6 / 18)
    assert kinds["mode"]["distance"] == 0.0


def test_facts_that_no_run_recorded_are_said_not_to_be_known(changed: Path) -> None:
    found = told("HEAD", "workspace")["shift"]
    assert found["numbers"] is None
    assert "as it is now" in found["not_known"]
    assert "no run is recorded that read it" in found["not_known"]


def test_splits_are_those_that_the_manifests_kept(changed: Path) -> None:
    manifests = [read_frame(changed / "before.parquet"), read_frame(MANIFEST)]
    splits = [dict(zip(one["sha256"], one["split"], strict=True)) for one in manifests]
    unique = [dict(zip(one["path"], one["sha256"], strict=True)) for one in manifests]
    stayed = set(splits[0]) & set(splits[1])
    other = {digest for digest in stayed if splits[0][digest] != splits[1][digest]}
    assert 0 < len(other) < len(stayed)
    found = told("v1", "HEAD")
    assert {unique[1][pair["to"]] for pair in found["paths"]["moved_between_splits"]} == other
    assert sum(way["images"] for way in found["between_splits"]) == len(found["paths"]["moved_between_splits"])
    assert {one["fact"] for one in found["shift"]["kinds"]} >= {"class", "split"}
    assert told("HEAD", "workspace")["between_splits"] is None


def test_given_splits_are_known_from_folders_alone(changed: Path) -> None:
    for split in ("train", "test"):
        for name in "ab":
            draw(changed / "data" / "sides" / split / name / "1.png", seed=len(split) + ord(name))
    dvc(changed, "add", "-q", "data/sides")
    first = digest_of(changed, "data/sides")
    (changed / "data/sides/test/a/1.png").rename(changed / "data/sides/train/a/2.png")
    found = told(f"data/sides@{first[:8]}", "workspace")
    assert found["between_splits"] == [{"from": "test", "to": "train", "images": 1}]
    assert found["between_classes"] == []


@pytest.mark.parametrize("text", ["v1", "data/set@v1", "./data/set@HEAD~1", "digest"])
def test_a_state_has_several_names(changed: Path, text: str) -> None:
    first = told("v1", "HEAD")["before"]
    text = first["digest"][:9] if text == "digest" else text
    assert told(text, "HEAD")["before"]["digest"] == first["digest"]


def test_a_path_is_meant_from_where_it_is_typed(changed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(changed / "data")
    found = told("./set@v1", "./set")
    assert found["before"]["path"] == "data/set"
    assert found["paths"]["removed"] == ["c/0.png", "c/5.png"]


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("nosuch", "nosuch is neither a revision of git here nor a digest"),
        ("data/set@v9", "v9 is neither a revision of git here nor a digest"),
        ("data/nosuch@v1", "says nothing of data/nosuch in data/nosuch.dvc or dvc.lock"),
        ("abcdef", "abcdef is neither a revision of git here nor a digest"),
    ],
)
def test_what_is_not_there_is_a_sentence(changed: Path, first: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        difference(first, "HEAD")
    assert words in str(refused.value)


def test_a_folder_that_is_not_here_is_a_sentence(changed: Path) -> None:
    shutil.rmtree(changed / "data" / "set")
    with pytest.raises(UserError, match="There is no folder data/set here; `dvc checkout` brings back"):
        difference("v1", "workspace")


def test_a_list_that_is_not_here_is_fetched_when_asked_for_and_the_files_still_can_be(changed: Path) -> None:
    first = told("v1", "HEAD")
    shutil.rmtree(changed / ".dvc" / "cache")
    with pytest.raises(UserError, match=r"The list of files of data/set at commit \w+ .* `--fetch` brings that list"):
        difference("v1", "HEAD")
    with pytest.raises(UserError, match=r"The list of files of data/set at commit \w+ \(" + digest_of(changed)[:12]):
        difference("v1", "HEAD", fetch=True)  # the second state was never pushed
    found = difference("v1", "workspace", fetch=True)
    assert found.before.digest == first["before"]["digest"]
    assert dvc_cache.kept(changed, found.before.digest).n_here == 0
    git(changed, "checkout", "--quiet", "v1")
    dvc(changed, "pull", "-q", "--force", "data/set")
    assert dvc_cache.digest_of_folder(present(changed, "data/set")) == first["before"]["digest"]


def test_without_a_remote_it_says_so(changed: Path) -> None:
    shutil.rmtree(changed / ".dvc" / "cache")
    dvc(changed, "remote", "remove", "store")
    with pytest.raises(UserError, match="there is no remote; name the one it was pushed to with `dvc remote add"):
        difference("v1", "HEAD")
    with pytest.raises(UserError, match="there is no remote; name the one it was pushed to with `dvc remote add"):
        difference("v1", "HEAD", fetch=True)


def test_manifests_stand_in_for_lists_that_dvc_does_not_keep(changed: Path) -> None:
    by_dvc = told("v1", "HEAD")
    for digest in (by_dvc["before"]["digest"], by_dvc["after"]["digest"]):
        dvc_cache.object_place(changed, digest).unlink()
    found = difference("v1", "HEAD")
    assert found.compared_by == BY_MANIFESTS
    by_manifests = plain(found, None)
    for kind in ("added", "removed", "changed", "moved", "moved_between_classes", "copied"):
        assert by_manifests["paths"][kind] == by_dvc["paths"][kind]
    assert by_manifests["classes"] == by_dvc["classes"]


def test_people_get_a_table_programs_json_and_whoever_asks_every_path(
    changed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = call(capsys, monkeypatch, "data", "diff", "v1", "HEAD")
    assert code == 0
    assert "b/bright_00.png" in out
    assert "b/bright_10.png" not in out  # examples, not a list
    assert "Unlike: what came differs from what was there" in out
    assert "Between classes: a -> b 1." in out
    code, out, _ = call(capsys, monkeypatch, "data", "diff", "v1", "HEAD", "--json")
    parsed = json.loads(out)
    assert (code, parsed["counts"]["added"], len(parsed["paths"]["added"]), parsed["paths_are_all"]) == (
        0,
        21,
        10,
        False,
    )
    code, out, _ = call(capsys, monkeypatch, "data", "diff", "v1", "HEAD", "--paths")
    lines = out.splitlines()
    assert code == 0
    assert len([line for line in lines if line.startswith("A\t")]) == 21
    assert {"D\tc/0.png", "M\tc/1.png", "M\tnotes.txt", "R\ta/0.png\tb/from_a.png", "L\tb/from_a.png\ta -> b"} <= {
        *lines
    }
    code, out, _ = call(capsys, monkeypatch, "data", "diff", "HEAD", "HEAD")
    assert "Nothing differs." in out
    code, _, err = call(capsys, monkeypatch, "data", "diff", "nosuch")
    assert code == 2
    assert err.startswith("nosuch is neither")
