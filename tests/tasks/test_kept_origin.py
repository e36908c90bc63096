"""What made a version is with it after a repair of the registry, or nothing is said of it."""

import shutil
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from adapters import mlflow_lineage
from adapters.mlflow_store import open_client
from adapters.version_records import Version
from tasks import registry_care
from tasks.lineage_facts import kept_files, origin_folder
from tasks.register import publish
from tests.tasks.left_artifacts import champion, leave_artifacts, set_param


@pytest.fixture
def kept(mlflow_project: Path) -> Path:
    """Register a model whose origin is kept, memory of runs included; return the project."""
    leave_artifacts()
    Path("dvc.lock").write_text("stages: {}\n", encoding="utf-8")
    Path(".rootstock").mkdir(exist_ok=True)
    Path(".rootstock/memory.jsonl").write_text("{}\n", encoding="utf-8")
    publish()
    return mlflow_project


def origin() -> tuple[Version, Path | None]:
    """Return the champion and the folder of what made it."""
    found = mlflow_lineage.version(Path.cwd(), "digits", champion())
    assert found is not None
    return found, origin_folder(found, mlflow_lineage.run(Path.cwd(), found.run_id))


def lose_files(*, of_run: bool) -> None:
    version, _ = origin()
    shutil.rmtree(version.location)
    if of_run:
        run = mlflow_lineage.run(Path.cwd(), version.run_id)
        assert run is not None
        shutil.rmtree(Path(unquote(urlparse(run.place).path)) / "origin")
    Path(".rootstock/memory.jsonl").write_text("{}\n{}\n", encoding="utf-8")  # it grows with every run


def test_a_version_whose_files_are_put_back_has_what_made_it(kept: Path) -> None:
    before, _ = origin()
    set_param("margin: 0.01", "margin: 0.02")
    lose_files(of_run=False)
    assert "were gone" in registry_care.mend(kept)
    version, folder = origin()
    assert version.tags == before.tags
    assert folder == Path(version.location) / "origin"
    assert (folder / "memory.jsonl").read_text(encoding="utf-8") == "{}\n"
    assert "margin: 0.01" in (folder / "params.yaml").read_text(encoding="utf-8")


def test_what_made_a_version_is_gathered_again_where_the_project_is_as_it_was(kept: Path) -> None:
    lose_files(of_run=True)
    registry_care.mend(kept)
    version, folder = origin()
    assert folder == Path(version.location) / "origin"
    assert sorted(path.name for path in folder.iterdir()) == ["code.tar.gz", "dvc.lock", "packages.txt", "params.yaml"]
    assert kept_files(version)["memory.jsonl"] == "not kept: lost with the registry"


def test_a_version_that_is_registered_again_has_what_made_it(kept: Path) -> None:
    open_client().delete_model_version("digits", "1")
    registry_care.mend(kept)
    version, folder = origin()
    assert version.number == "2"
    assert folder == Path(version.location) / "origin"


@pytest.mark.parametrize("lost", ["files", "version"])
def test_of_what_is_lost_and_cannot_be_gathered_again_nothing_is_said(kept: Path, lost: str) -> None:
    if lost == "files":
        lose_files(of_run=True)
    else:
        open_client().delete_model_version("digits", "1")
    set_param("margin: 0.01", "margin: 0.02")
    registry_care.mend(kept)
    version, folder = origin()
    assert (kept_files(version), folder) == ({}, None)
