"""What a refused run replaced comes back, byte for byte."""

import errno
import os
from pathlib import Path

import pytest

from adapters import snapshots

PATHS = [Path("params.yaml"), Path("dvc.lock"), Path("artifacts/select"), Path("data/digits")]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text("a: 1\n")
    (tmp_path / "artifacts/select").mkdir(parents=True)
    (tmp_path / "artifacts/select/ranking.json").write_text("{}")
    return tmp_path


def content(project: Path) -> dict[str, str]:
    return {
        str(path.relative_to(project)): path.read_text()
        for path in sorted(project.rglob("*"))
        if path.is_file() and ".rootstock" not in path.parts
    }


def test_restore_undoes_changes_additions_and_removals(tree: Path) -> None:
    before = content(tree)
    snapshots.take(tree, PATHS)
    (tree / "params.yaml").write_text("a: 2\n")  # into the same file, as DVC and editors do
    (tree / "dvc.lock").write_text("new")
    (tree / "artifacts/select/ranking.json").unlink()
    (tree / "data/digits").mkdir(parents=True)
    (tree / "data/digits/0.png").write_text("x")
    snapshots.restore(tree, PATHS)
    assert content(tree) == before
    assert list((tree / ".rootstock").iterdir()) == []


def test_forgotten_snapshot_leaves_the_new_state(tree: Path) -> None:
    snapshots.take(tree, PATHS)
    (tree / "dvc.lock").write_text("new")
    snapshots.forget(tree)
    assert (tree / "dvc.lock").read_text() == "new"


def test_snapshot_keeps_modification_times(tree: Path) -> None:
    when = (tree / "artifacts/select/ranking.json").stat().st_mtime_ns
    snapshots.take(tree, PATHS)
    snapshots.restore(tree, PATHS)
    assert (tree / "artifacts/select/ranking.json").stat().st_mtime_ns == when


def test_outputs_on_another_file_system_come_back(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def apart(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    before = content(tree)
    monkeypatch.setattr(os, "link", apart)
    monkeypatch.setattr(os, "rename", apart)
    snapshots.take(tree, PATHS)
    (tree / "artifacts/select/ranking.json").write_text("half")
    snapshots.restore(tree, PATHS)
    assert content(tree) == before
