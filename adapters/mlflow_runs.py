"""Record what happened as MLflow runs: a parent for every pipeline run, a child for every stage.

The parent's id travels in the environment. A stage that a bare `dvc repro` started finds its parent by the digest of
the parameters and of the data. DVC knows the data's digest only after the manifest stage, so the stages up to there
share a parent whose data is still unknown, which the first later stage completes.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import dvc_lock, environment, params_file
from adapters.mlflow_records import StageRun, data_input, run_tags
from adapters.mlflow_store import artifact_location, open_client, store_errors, tracking_uri
from adapters.project import find_project
from transfer.records import SPLITS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FINISHED, FAILED, KILLED, RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"
STAGE_TAG, KEY_TAG, DATA_TAG, PLACE_TAG = "stage", "rootstock.key", "rootstock.data_digest", "rootstock.place"
PARENT_TAG = "mlflow.parentRunId"
PIPELINE = "pipeline"  # the value of STAGE_TAG on parents
UNKNOWN = "unknown"  # the value of DATA_TAG until DVC has hashed the data
_SHOWN_AS = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's pages guess at language models otherwise
_BEFORE_DIGEST = ("sample", "manifest")  # stages that run before DVC has recorded the data they see


def dataset_name(data_path: str, project: Path) -> str:
    """Return what a data set is called: the last folder of its path that is not named after a split.

    Args:
        data_path: as in params.yaml, absolute or relative to the project.
        project: the project's folder.
    """
    folders = Path(os.path.normpath(project.resolve() / data_path)).parts[1:]
    return next((folder for folder in reversed(folders) if folder not in SPLITS), "data")


def start_parent(key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> str:
    """Find or create the run of a whole pipeline, mark it running, and return its id.

    Runs that a killed process of this project left open are closed first.

    Args:
        key: what makes it the same pipeline run, for example the id of a flow run, which a retry keeps.
        name: what MLflow's pages call it.
        params: every parameter of the project, nested in blocks or under dotted keys.
        tags: further tags.
    """
    project = find_project()
    client = open_client(project)
    with store_errors(tracking_uri(project)):
        _close_ghosts(client, project)
        flat = _flat(params)
        run = _find_parent(client, project, flat, key) or _create_parent(client, project, flat, key, name, tags or {})
        client.update_run(run.info.run_id, status=RUNNING)
        return str(run.info.run_id)


def finish_parent(
    run_id: str,
    status: str,
    metrics: Mapping[str, float] | None = None,
    artifacts: Sequence[Path] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Close the run of a pipeline.

    Args:
        run_id: what `start_parent` returned.
        status: "FINISHED", "FAILED" or "KILLED".
        metrics: figures of the whole pipeline.
        artifacts: files to keep with the run.
        tags: further tags.
    """
    project = find_project()
    client = open_client(project)
    with store_errors(tracking_uri(project)):
        parent = StageRun(client, run_id)
        parent.metrics(metrics or {})
        parent.tags(tags or {})
        for path in artifacts:
            parent.artifact(path)
        if status == FINISHED:  # a run that stopped before its data were hashed would get those of the run before it
            _record_data(client, project, client.get_run(run_id))
        parent.close(status)


@contextmanager
def stage_run(stage: str) -> Iterator[StageRun]:
    """Open a stage's run below the pipeline's, in place of an earlier one of the same stage; close it at the end.

    Args:
        stage: the stage's word.
    """
    project = find_project()
    client = open_client(project)
    with store_errors(tracking_uri(project)):
        parent, owned = _parent_of(client, project, stage)
        run = _create_child(client, project, parent, stage)
    status = KILLED  # Ctrl-C, or the signal by which Prefect cancels, is no Exception
    try:
        with store_errors(tracking_uri(project)):
            yield run
        status = FINISHED
    except Exception:
        status = FAILED
        raise
    finally:
        with store_errors(tracking_uri(project)):
            run.close(status)
            if owned:
                client.set_terminated(parent.info.run_id, status)


def tag_values(project: Path, stage: str, tag: str) -> set[str]:
    """Return what the runs of a stage of this project, on this machine, have as a tag.

    Args:
        project: the project's folder.
        stage: the stage's word.
        tag: its name.

    Raises:
        EnvironmentFault: the store cannot be read.
    """
    client, values, token = open_client(project), set[str](), None
    wanted = _all_of({STAGE_TAG: stage, PLACE_TAG: _place(project)})
    with store_errors(tracking_uri(project)):
        experiments = [found.experiment_id for found in client.search_experiments()]
        while token != "":
            page = client.search_runs(experiments, wanted, page_token=token or None)
            values |= {run.data.tags[tag] for run in page if tag in run.data.tags}
            token = page.token or ""
    return values


def _parent_of(client: "MlflowClient", project: Path, stage: str) -> "tuple[Run, bool]":
    """Return the run to nest under, and whether this process has to close it."""
    digest = None if stage in _BEFORE_DIGEST else dvc_lock.data_digest(project)
    parent = _given_parent(client)
    owned = parent is None
    if parent is None:
        _close_ghosts(client, project)
        parent = _unnamed_parent(client, project, digest)
    if digest is not None and parent.data.tags.get(DATA_TAG) == UNKNOWN:
        _record_data(client, project, parent)
    return parent, owned


def _given_parent(client: "MlflowClient") -> "Run | None":
    from mlflow.exceptions import MlflowException

    given = environment.get(environment.PARENT_RUN)
    if given is None:
        return None
    try:
        return client.get_run(given)
    except MlflowException:  # the store was deleted, or another one is used now
        return None


def _unnamed_parent(client: "MlflowClient", project: Path, digest: str | None) -> "Run":
    """Find or create the parent of stages that no pipeline run started, by their parameters and data."""
    params = _flat(params_file.read(project / "params.yaml"))
    settings = _digest([_place(project), params])
    unknown, key = f"{settings}-{UNKNOWN}", f"{settings}-{digest or UNKNOWN}"
    run = _find_parent(client, project, params, unknown) or _find_parent(client, project, params, key)
    if run is None:
        run = _create_parent(client, project, params, key, time.strftime("dvc repro %Y-%m-%d %H:%M:%S"), {})
    if run.data.tags[KEY_TAG] != key:
        client.set_tag(run.info.run_id, KEY_TAG, key)
    return run


def _find_parent(client: "MlflowClient", project: Path, params: Mapping[str, Any], key: str) -> "Run | None":
    experiment = _experiment(client, project, dataset_name(params["data.path"], project))
    same = {STAGE_TAG: PIPELINE, KEY_TAG: key}
    found = client.search_runs([experiment], _all_of(same), order_by=["attributes.start_time DESC"], max_results=1)
    return found[0] if found else None


def _create_parent(
    client: "MlflowClient", project: Path, params: Mapping[str, Any], key: str, name: str, tags: Mapping[str, str]
) -> "Run":
    own = {
        STAGE_TAG: PIPELINE,
        KEY_TAG: key,
        DATA_TAG: UNKNOWN,
        PLACE_TAG: _place(project),
        **run_tags(project, "flows/pipeline.py"),
        **tags,
    }
    experiment = _experiment(client, project, dataset_name(params["data.path"], project))
    run = client.create_run(experiment, tags=own, run_name=name)
    recorder = StageRun(client, run.info.run_id)
    recorder.params(params)
    recorder.flush()
    return run


def _create_child(client: "MlflowClient", project: Path, parent: "Run", stage: str) -> StageRun:
    experiment = parent.info.experiment_id
    for earlier in client.search_runs([experiment], _all_of({PARENT_TAG: parent.info.run_id, STAGE_TAG: stage})):
        client.delete_run(earlier.info.run_id)
    tags = {
        STAGE_TAG: stage,
        PARENT_TAG: parent.info.run_id,
        PLACE_TAG: _place(project),
        **run_tags(project, f"flows/{stage}.py"),
    }
    began = environment.get(environment.STAGE_STARTED_MS)  # the run shows the stage's time, not that of its recording
    run = client.create_run(experiment, start_time=int(began) if began else None, tags=tags, run_name=stage)
    return StageRun(client, run.info.run_id)


def _record_data(client: "MlflowClient", project: Path, parent: "Run") -> None:
    """Give a parent, and its manifest child, the data that DVC has hashed by now."""
    digest, data_path = dvc_lock.data_digest(project), parent.data.params.get("data.path")
    if digest is None or data_path is None:
        return
    client.set_tag(parent.info.run_id, DATA_TAG, digest)
    below = _all_of({PARENT_TAG: parent.info.run_id, STAGE_TAG: "manifest"})
    for run in (parent, *client.search_runs([parent.info.experiment_id], below)):
        if run.inputs is None or not run.inputs.dataset_inputs:
            client.log_inputs(run.info.run_id, [data_input(dataset_name(data_path, project), data_path, digest)])


def _close_ghosts(client: "MlflowClient", project: Path) -> None:
    """Close what a killed process of this project left open; the project's lock keeps every living one out."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    left = f"attributes.status = '{RUNNING}' and {_all_of({PLACE_TAG: _place(project)})}"
    for run in client.search_runs(experiments, left):
        client.set_terminated(run.info.run_id, KILLED)


def _experiment(client: "MlflowClient", project: Path, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location(project, name), _SHOWN_AS))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _all_of(tags: Mapping[str, str]) -> str:
    """Return the search for runs that carry all of these tags."""
    return " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())


def _flat(params: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in params.items():
        is_block = isinstance(value, Mapping) and "." not in key
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if is_block else {key: value}
    return flat


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _place(project: Path) -> str:
    """Return a digest of this machine and project: a shared store also holds the runs of others."""
    return hashlib.sha256(f"{platform.node()}:{project.resolve()}".encode()).hexdigest()[:32]
