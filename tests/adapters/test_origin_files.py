"""What it takes to make a version again, kept and found."""

import json
import os
import subprocess
import tarfile
from importlib import metadata
from pathlib import Path

import pytest

from adapters import origin_files
from adapters.json_files import sha256_of
from transfer.errors import EnvironmentFault


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "version" / origin_files.ORIGIN
    folder.mkdir(parents=True)
    return folder


def commit(project: Path) -> None:
    subprocess.run(("git", "add", "-A", "."), cwd=project, check=True)
    subprocess.run(("git", "commit", "--quiet", "-m", "all"), cwd=project, check=True)


def test_without_a_commit_the_code_itself_is_kept(project: Path, place: Path, tmp_path: Path) -> None:
    (project / "tasks" / "__pycache__").mkdir(parents=True)
    (project / "tasks" / "a.py").write_text("a = 1\n", encoding="utf-8")
    (project / "tasks" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    digests = json.loads(origin_files.gather(project, place))
    assert set(digests) == {"params.yaml", "packages.txt", "code.tar.gz"}
    assert digests == {path.name: sha256_of(path) for path in place.iterdir()}
    (tmp_path / "out").mkdir()
    origin_files.unpack_code(place / origin_files.ARCHIVE, tmp_path / "out")
    assert (tmp_path / "out" / "tasks" / "a.py").read_text(encoding="utf-8") == "a = 1\n"
    assert (tmp_path / "out" / "dvc.yaml").is_file()
    assert not (tmp_path / "out" / "tasks" / "__pycache__").exists()
    (place / origin_files.ARCHIVE).write_bytes(b"damaged")
    with pytest.raises(EnvironmentFault, match="cannot be unpacked"):
        origin_files.unpack_code(place / origin_files.ARCHIVE, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "kind"), [("../out.py", b"0"), ("/out.py", b"0"), ("tasks/link", b"2"), ("pipe", b"6")]
)
def test_what_leads_out_of_the_folder_is_not_unpacked(tmp_path: Path, name: str, kind: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/hostname"
    with tarfile.open(tmp_path / "code.tar.gz", "w:gz") as stream:
        stream.addfile(member)
    (tmp_path / "in").mkdir()
    with pytest.raises(EnvironmentFault, match="is no file or folder below it"):
        origin_files.unpack_code(tmp_path / "code.tar.gz", tmp_path / "in")
    assert not [*(tmp_path / "in").iterdir()]
    assert not (tmp_path / "out.py").exists()


def test_with_a_commit_only_changes_of_the_code_are_kept(project: Path, place: Path) -> None:
    (project / "tasks").mkdir()
    (project / "tasks" / "a.py").write_text("a = 1\n", encoding="utf-8")
    commit(project)
    (project / "notes.txt").write_text("no code", encoding="utf-8")
    assert origin_files.PATCH not in json.loads(origin_files.gather(project, place))
    (project / "tasks" / "a.py").write_text("a = 2\n", encoding="utf-8")
    digests = json.loads(origin_files.gather(project, place))
    assert digests[origin_files.PATCH] == sha256_of(place / origin_files.PATCH)
    assert "+a = 2" in (place / origin_files.PATCH).read_text(encoding="utf-8")
    assert "notes" not in (place / origin_files.PATCH).read_text(encoding="utf-8")


def test_what_is_too_large_is_told_and_not_kept(project: Path, place: Path) -> None:
    (project / "backbones").mkdir()
    commit(project)
    (project / "backbones" / "weights").write_bytes(os.urandom(9_000_000))
    digests = json.loads(origin_files.gather(project, place))
    assert digests[origin_files.PATCH].startswith("not kept: ")
    assert not (place / origin_files.PATCH).exists()
    assert origin_files.find([place.parent], digests) == place


def test_the_memory_is_kept_whatever_its_file_is_called(
    project: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "remembered").write_text("{}\n", encoding="utf-8")
    monkeypatch.setenv("ROOTSTOCK_MEMORY", "remembered")
    origin_files.gather(project, place)
    assert (place / origin_files.MEMORY).read_text(encoding="utf-8") == "{}\n"


def test_only_files_as_they_were_kept_are_found(project: Path, place: Path, tmp_path: Path) -> None:
    digests = json.loads(origin_files.gather(project, place))
    elsewhere = tmp_path / "run"
    assert origin_files.find([elsewhere, place.parent], digests) == place
    (place / "params.yaml").write_text("altered: {}\n", encoding="utf-8")
    assert origin_files.find([elsewhere, place.parent], digests) is None


def test_packages_that_moved_are_named() -> None:
    assert f"pytest=={metadata.version('pytest')}" in origin_files.packages()
    assert origin_files.moved(origin_files.packages()) == []
    recorded = [line for line in origin_files.packages() if not line.startswith("pytest==")]
    assert origin_files.moved([*recorded, "pytest==1.0", "zzz-gone==2"]) == [
        f"pytest {metadata.version('pytest')}, was 1.0",
        "zzz-gone missing, was 2",
    ]
