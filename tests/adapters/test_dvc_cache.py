"""What DVC keeps, told without DVC: against DVC's own answers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import dvc_cache
from adapters.dvc_lock import recorded


def dvc(project: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=project, check=True, capture_output=True)


@pytest.fixture(scope="module")
def added_once(tmp_path_factory: pytest.TempPathFactory, lay_out: Callable[[Path], None]) -> Path:
    """Make a project that tracks a folder of three files with DVC."""
    folder = tmp_path_factory.mktemp("added") / "project"
    lay_out(folder)
    for name in ("a/1.txt", "a/2.txt", "b/ä.txt"):
        (folder / "data" / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / "set" / name).write_text(name, encoding="utf-8")
    dvc(folder, "add", "-q", "data/set")
    return folder


@pytest.fixture
def project(added_once: Path, tmp_path: Path) -> Path:
    """Make such a project of a test's own."""
    return Path(shutil.copytree(added_once, tmp_path / "project", symlinks=True))


@pytest.fixture
def added(project: Path) -> str:
    """Return the digest of the folder as DVC wrote it."""
    import yaml

    return str(yaml.safe_load((project / "data" / "set.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"])


def test_digest_is_that_of_dvc_and_its_files_are_counted(project: Path, added: str) -> None:
    assert dvc_cache.code_digest(project / "data" / "set") == added
    assert dvc_cache.kept(project, added) == dvc_cache.Kept(3, 3)
    listed = json.loads((project / ".dvc/cache/files/md5" / added[:2] / added[2:]).read_text(encoding="utf-8"))
    first = listed[0]["md5"]
    assert dvc_cache.content(project, first) == (project / "data" / "set" / listed[0]["relpath"]).read_bytes()
    place = project / ".dvc/cache/files/md5" / first[:2] / first[2:]
    place.unlink()
    assert dvc_cache.kept(project, added) == dvc_cache.Kept(3, 2)
    assert not dvc_cache.kept(project, added).whole
    assert dvc_cache.content(project, first) is None
    shutil.rmtree(project / ".dvc" / "cache")
    assert dvc_cache.kept(project, added) == dvc_cache.Kept(None, 0)


def test_many_files_are_counted_by_listing_folders(project: Path, added: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = json.loads((project / ".dvc/cache/files/md5" / added[:2] / added[2:]).read_text(encoding="utf-8"))
    monkeypatch.setattr(dvc_cache, "_FEW", 0)
    assert dvc_cache.kept(project, added) == dvc_cache.Kept(3, 3)
    shutil.rmtree(project / ".dvc/cache/files/md5" / listed[0]["md5"][:2])
    assert dvc_cache.kept(project, added).n_here < 3


def test_compiled_files_count_for_nothing(project: Path, added: str) -> None:
    (project / "data" / "set" / "__pycache__").mkdir()
    (project / "data" / "set" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert dvc_cache.code_digest(project / "data" / "set") == added
    assert dvc_cache.code_digest(project / "nosuch") == ""


def test_cache_and_remote_are_where_the_configuration_says(project: Path, tmp_path: Path) -> None:
    assert dvc_cache.cache_folder(project) == (project / ".dvc" / "cache").resolve()
    assert dvc_cache.remote(project) is None
    own, everybodys = project / ".dvc" / "config.local", project / ".dvc" / "config"
    everybodys.write_text(
        f"[core]\n    remote = store\n[cache]\n    dir = {tmp_path / 'elsewhere'}\n", encoding="utf-8"
    )
    assert dvc_cache.cache_folder(project) == tmp_path / "elsewhere"
    own.write_text("[cache]\n    dir = ../../nearer\n", encoding="utf-8")
    asked = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], cwd=project, check=True, capture_output=True, text=True
    )
    assert dvc_cache.cache_folder(project) == Path(asked.stdout.strip())
    assert dvc_cache.remote(project) == "store"
    assert recorded(project) == {}
