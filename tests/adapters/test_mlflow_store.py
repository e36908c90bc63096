"""The store: where it is, and that it follows a project that is moved or copied."""

import shutil
from pathlib import Path

import pytest

from adapters.mlflow_runs import dataset_name, stage_run
from adapters.mlflow_store import is_own, open_client, registry_uri, tracking_uri
from transfer.errors import EnvironmentFault


def _register(project: Path) -> None:
    """Register the parameter file as if it were a model: only its place matters here."""
    client = open_client(project)
    with stage_run("register") as run:
        run.artifact(project / "params.yaml")
    place = client.get_run(run.run_id).info.artifact_uri
    client.create_registered_model("digits")
    client.create_model_version("digits", place, run.run_id)


def test_the_store_is_the_projects_own_unless_the_user_names_another(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri(project) == registry_uri(project) == f"sqlite:///{project}/mlruns/mlflow.db"
    assert is_own(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tracking_uri(project) == registry_uri(project) == "http://127.0.0.1:1"
    assert not is_own(project)


def test_a_copied_project_reads_and_writes_its_own_files(mlflow_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _register(mlflow_project)
    copy = mlflow_project.with_name("copy")
    shutil.copytree(mlflow_project, copy)
    monkeypatch.chdir(copy)
    client = open_client(copy)
    (version,) = client.search_model_versions()
    assert Path(client.get_model_version_download_uri("digits", version.version)).is_relative_to(copy)
    assert Path(version.source).is_relative_to(copy)
    assert [entry.path for entry in client.list_artifacts(version.run_id)] == ["params.yaml"]
    with stage_run("select") as run:
        run.artifact(copy / "dvc.yaml")
    assert Path(client.get_run(run.run_id).info.artifact_uri).is_relative_to(copy)
    assert list((copy / "mlruns").rglob("dvc.yaml"))
    assert not list((mlflow_project / "mlruns").rglob("dvc.yaml"))


def test_a_project_that_stays_keeps_its_places(mlflow_project: Path) -> None:
    _register(mlflow_project)
    (version,) = open_client(mlflow_project).search_model_versions()
    assert Path(version.source).is_relative_to(mlflow_project)


def test_a_damaged_store_is_one_sentence(mlflow_project: Path) -> None:
    (mlflow_project / "mlruns" / "mlflow.db").write_bytes(b"no database" * 500)
    with pytest.raises(EnvironmentFault, match=r"MLflow store sqlite.*mlflow\.db failed"):
        open_client(mlflow_project)


@pytest.mark.parametrize("path", ["data/digits/train", "data/digits/val", "data/digits/test/"])
def test_a_folder_of_splits_is_called_after_what_holds_it(tmp_path: Path, path: str) -> None:
    assert dataset_name(path, tmp_path) == "digits"
