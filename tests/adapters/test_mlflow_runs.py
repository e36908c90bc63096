"""Runs nest as the pipeline ran, end with their true status, and are found again by the stages of one repro."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters import environment
from adapters.mlflow_runs import (
    DATA_TAG,
    KILLED,
    PARENT_TAG,
    STAGE_TAG,
    dataset_name,
    finish_parent,
    stage_run,
    start_parent,
)
from adapters.mlflow_store import open_client

DIGEST = "0123456789abcdef0123456789abcdef.dir"  # as DVC writes it: exactly what MLflow allows
LOCK = f"""
schema: '2.0'
stages:
  manifest:
    cmd: python -m flows.manifest
    deps:
    - path: data/digits
      hash: md5
      md5: {DIGEST}
    params:
      params.yaml:
        data:
          path: data/digits
"""


def runs(experiment: str = "digits") -> list[Any]:
    client = open_client()
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"]))


def of_stage(stage: str) -> list[Any]:
    return [run for run in runs() if run.data.tags[STAGE_TAG] == stage]


def test_stages_of_one_bare_repro_share_a_parent(mlflow_project: Path) -> None:
    for stage in ("sample", "manifest"):
        with stage_run(stage):
            pass
    (mlflow_project / "dvc.lock").write_text(LOCK)
    for stage in ("validate", "select"):
        with stage_run(stage):
            pass
    (parent,) = of_stage("pipeline")
    children = [run for run in runs() if run.info.run_id != parent.info.run_id]
    assert [run.info.run_name for run in children] == ["sample", "manifest", "validate", "select"]
    assert {run.data.tags[PARENT_TAG] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert parent.data.tags[DATA_TAG] == DIGEST
    assert parent.data.params["finetune.epochs"] == "10"


def test_data_set_is_recorded_with_the_parent_and_its_manifest(mlflow_project: Path) -> None:
    with stage_run("manifest"):
        pass
    (mlflow_project / "dvc.lock").write_text(LOCK)
    with stage_run("validate"):
        pass
    for run in (*of_stage("pipeline"), *of_stage("manifest")):
        (used,) = run.inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("digits", DIGEST)


def test_changed_parameters_begin_another_parent(mlflow_project: Path) -> None:
    with stage_run("sample"):
        pass
    params = mlflow_project / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 10", "epochs: 9"))
    with stage_run("finetune"):
        pass
    assert len(of_stage("pipeline")) == 2


@pytest.mark.parametrize(("error", "status"), [(ValueError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_stage_that_breaks_off_says_so(mlflow_project: Path, error: BaseException, status: str) -> None:
    def break_off() -> None:
        with stage_run("finetune") as run:
            run.metrics({"before": 1.0})
            raise error

    with pytest.raises(type(error)):
        break_off()
    (child,), (parent,) = of_stage("finetune"), of_stage("pipeline")
    assert (child.info.status, parent.info.status) == (status, status)
    assert child.data.metrics == {"before": 1.0}


def test_rerun_stage_replaces_its_run(mlflow_project: Path) -> None:
    for loss in (3.0, 2.0):
        with stage_run("finetune") as run:
            for step in range(3):
                run.metrics_at(step, {"loss": loss / (step + 1)})
            run.metrics_at(2, {"loss": 0.5})
    (child,) = of_stage("finetune")
    history = open_client().get_metric_history(child.info.run_id, "loss")
    assert [(point.step, point.value) for point in sorted(history, key=lambda point: point.step)] == [
        (0, 2.0),
        (1, 1.0),
        (2, 0.5),
    ]


def test_everything_a_stage_reports_is_kept(mlflow_project: Path) -> None:
    (mlflow_project / "plot.png").write_bytes(b"picture")
    with stage_run("evaluate") as run:
        run.params({f"p{number}": "x" * 7000 for number in range(120)})
        run.metrics({f"m{number}": number for number in range(1100)} | {"recall of c# & d": 0.5})
        run.tags({"verdict": "It helped."})
        run.artifact(mlflow_project / "plot.png", "evaluate")
    (child,) = of_stage("evaluate")
    assert len(child.data.params) == 120
    assert len(child.data.metrics) == 1101
    assert child.data.metrics["recall of c_ _ d"] == 0.5
    assert child.data.tags["verdict"] == "It helped."
    assert [entry.path for entry in open_client().list_artifacts(child.info.run_id, "evaluate")] == [
        "evaluate/plot.png"
    ]
    assert list((mlflow_project / "mlruns" / "artifacts" / "digits").rglob("plot.png"))


def test_pipeline_run_holds_its_stages(mlflow_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = start_parent("flow-run-1", "brave-otter", {"data": {"path": "../photos"}}, {"flow": "x"})
    monkeypatch.setenv(environment.PARENT_RUN, parent)
    with stage_run("sample"):
        pass
    open_run, child = runs("photos")
    assert (open_run.info.status, open_run.info.run_name) == ("RUNNING", "brave-otter")
    assert child.data.tags[PARENT_TAG] == parent
    finish_parent(parent, "FINISHED", {"accuracy": 0.9})
    finished = open_client().get_run(parent)
    assert (finished.info.status, finished.data.metrics) == ("FINISHED", {"accuracy": 0.9})


def test_retried_pipeline_goes_on_in_its_run(mlflow_project: Path) -> None:
    first = start_parent("flow-run-1", "otter", {"data.path": "data/digits"})
    finish_parent(first, "FAILED")
    assert start_parent("flow-run-1", "otter", {"data.path": "data/digits"}) == first
    assert open_client().get_run(first).info.status == "RUNNING"
    assert start_parent("flow-run-2", "heron", {"data.path": "data/digits"}) != first


@pytest.mark.parametrize(("status", "n_inputs"), [("FINISHED", 1), ("FAILED", 0), ("KILLED", 0)])
def test_only_a_finished_pipeline_is_given_the_data_that_dvc_recorded(
    mlflow_project: Path, status: str, n_inputs: int
) -> None:
    (mlflow_project / "dvc.lock").write_text(LOCK)  # of this run, or of the run before one that failed
    parent = start_parent("flow-run-1", "otter", {"data.path": "data/digits"})
    finish_parent(parent, status)
    assert len(open_client().get_run(parent).inputs.dataset_inputs) == n_inputs


def test_run_of_a_killed_process_is_closed_by_the_next(mlflow_project: Path) -> None:
    ghost = start_parent("killed", "otter", {"data.path": "data/digits"})
    start_parent("next", "heron", {"data.path": "../photos"})
    assert open_client().get_run(ghost).info.status == KILLED


def test_parent_that_is_in_no_store_is_replaced(mlflow_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.PARENT_RUN, "0" * 32)
    with stage_run("sample"):
        pass
    assert len(of_stage("pipeline")) == 1


def test_deleted_experiment_comes_back(mlflow_project: Path) -> None:
    with stage_run("sample"):
        pass
    client = open_client()
    client.delete_experiment(client.get_experiment_by_name("digits").experiment_id)
    with stage_run("sample"):
        pass
    assert client.get_experiment_by_name("digits").lifecycle_stage == "active"


def test_store_that_the_user_exported_is_used(
    mlflow_project: Path, migrated_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "team.db"
    shutil.copyfile(migrated_database, other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    with stage_run("sample"):
        pass
    assert len(of_stage("sample")) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert open_client().get_experiment_by_name("digits") is None


@pytest.mark.parametrize(
    ("path", "name"),
    [("data/digits", "digits"), ("../shared/hymenoptera/", "hymenoptera"), ("/", "data"), ("a/../b c", "b c")],
)
def test_data_set_is_called_after_its_folder(tmp_path: Path, path: str, name: str) -> None:
    assert dataset_name(path, tmp_path) == name


@pytest.mark.slow
def test_first_use_makes_the_store_without_a_word(project: Path) -> None:
    code = "from adapters.mlflow_runs import stage_run\nwith stage_run('sample') as run: run.metrics({'n': 1})"
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "ROOTSTOCK_"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, cwd=project, env=settings, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (project / "mlruns" / "mlflow.db").is_file()
