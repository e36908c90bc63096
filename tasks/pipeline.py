"""Run the whole pipeline: stage after stage, under one lock, as one transaction towards the user's mistakes."""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext, TaskRunContext

from adapters import dvc_commands, dvc_lock, environment, snapshots
from adapters.json_files import read_plain_json, write_plain_json
from adapters.locks import ProjectBusyError, project_lock
from adapters.project import find_project, state_folder
from adapters.suite_folder import PREVIOUS
from tasks import data_source, failures, mitigation, previous_data, registry_care
from tasks.compared import is_outdated
from tasks.hand_edits import WRITTEN_FILE
from tasks.handoffs import MITIGATION
from tasks.live import shown
from tasks.mitigation_record import climbed, sentence
from tasks.params import PARAMS_FILE, flatten, read_params
from tasks.pipeline_settings import apply as apply_settings
from tasks.pipeline_settings import chosen_data_path
from tasks.staleness import EVALUATE, MANIFEST, SELECT, STAGES, left_out, stale_stages
from tasks.warm import warm_process
from transfer.errors import EnvironmentFault, UserError

__all__ = [
    "EVALUATE",
    "STAGES",
    "ProjectBusyError",
    "alone_after",
    "apply_settings",
    "climb",
    "parent_run",
    "project_run",
    "repro",
    "settle",
    "stale_stages",
]

# Both write to MLflow, which a restored output would leave as it is.
WITHOUT_RUN_CACHE = ("register", "report")
_CURRENT = "current.json"
_FILES = (Path(PARAMS_FILE), Path("dvc.lock"), WRITTEN_FILE, PREVIOUS)


@dataclass(frozen=True, slots=True)
class StageTime:
    """How long a stage took.

    Args:
        stage: the stage's word.
        ran: False when DVC found nothing to do or restored the outputs of an equal run.
        seconds: wall time of `dvc repro`, start-up included.
        compute_s: wall time inside the stage's steps.
    """

    stage: str
    ran: bool
    seconds: float
    compute_s: float


@contextlib.contextmanager
def project_run(data_path: str | None, settings: Mapping[str, Any] | None) -> Iterator[Path]:
    """Hold the project for one pipeline run; after the user's mistake everything is as it was before.

    A climb that came to its end is no mistake: what it left stays, and is what a mistake in a later stage goes back to.

    Args:
        data_path: the data set; None for the one in `settings` or params.yaml.
        settings: dotted key -> value, or None.

    Raises:
        ProjectBusyError: another run is at work in this project.
    """
    project = find_project()
    environment.prepare(project)
    with project_lock(project):
        _bury_ghost(project)
        if told := mitigation.put_back(project):
            print(told)
        kept, earlier = _kept(project, chosen_data_path(project, data_path, settings)), climbed(project)
        snapshots.take(project, kept)
        try:
            with warm_process(project):
                yield project
        except UserError as error:
            snapshots.restore(project, kept)
            now = climbed(project)
            if now is None or now == earlier:
                raise
            raise UserError(
                f"{error} What other parameters came to before that stays in {PARAMS_FILE} ({now['stands']}), and the "
                "next run goes on from there."
            ) from error
        finally:
            snapshots.forget(project)
            (state_folder(project) / _CURRENT).unlink(missing_ok=True)


@contextlib.contextmanager
def parent_run(project: Path) -> Iterator[None]:
    """Hold the MLflow run that the stages' runs belong to; a retried flow run goes on with the same one."""
    from adapters.mlflow_runs import FAILED, FINISHED, KILLED, finish_parent, start_parent

    context = FlowRunContext.get()
    flow_run = context.flow_run if context is not None else None
    key, name = (str(flow_run.id), flow_run.name) if flow_run is not None else ("pipeline", "pipeline")
    run_id = start_parent(key, name, flatten(read_params(project / PARAMS_FILE)), {"prefect.flow_run_id": key})
    environment.put(environment.PARENT_RUN, run_id)
    status = KILLED  # Ctrl-C, or the signal by which Prefect cancels, is no Exception
    try:
        yield
        status = FINISHED
    except Exception:
        status = FAILED
        raise
    finally:
        environment.drop(environment.PARENT_RUN)
        finish_parent(run_id, status, *(_headline(project) if status == FINISHED else ({}, ())))


@task(task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def repro(stage: str, stale: bool, alone: bool = False) -> dict[str, Any]:
    """Reproduce one stage with DVC; the stage's own flow run becomes a child of this task run.

    Args:
        stage: a key of `STAGES`.
        stale: False to skip a stage that DVC already found up to date.
        alone: True when this run has brought everything that the stage reads up to date; see `alone_after`.

    Returns:
        A `StageTime` as a plain mapping.

    Raises:
        UserError: the stage failed by the user's mistake.
        EnvironmentFault: it failed otherwise.
    """
    if not stale:
        return asdict(StageTime(stage, ran=False, seconds=0.0, compute_s=0.0))
    project, started, began_at = find_project(), time.perf_counter(), time.time()
    context = TaskRunContext.get()
    if context is not None:
        environment.put(environment.PARENT_TASK_RUN, str(context.task_run.id))
    failures.clear(project)
    log, lock_before = state_folder(project) / "logs" / f"{stage}.log", dvc_lock.text_of(project / dvc_lock.LOCK)
    again = bool(left_out(project)) if stage == SELECT else stage == EVALUATE and is_outdated(project)
    run_cache = stage not in WITHOUT_RUN_CACHE and not again
    with shown(project, stage) as tick:
        code = dvc_commands.repro(project, stage, log, tick, run_cache=run_cache, alone=alone or again, force=again)
    if code != 0:
        _raise(project, stage, log)
    if stage == MANIFEST:
        previous_data.remember(project, lock_before)
    seconds = time.perf_counter() - started
    compute_s = _compute_s(project, stage, began_at)
    return asdict(StageTime(stage, compute_s is not None, round(seconds, 2), compute_s or 0.0))


def climb(project: Path, reproduce: mitigation.Reproduce) -> list[dict[str, Any]]:
    """Climb the ladder of mitigations where that is due, and keep what it came to; see `tasks.mitigation.climb`."""
    times = mitigation.climb(project, reproduce)
    if times:
        snapshots.take(project, _kept(project, chosen_data_path(project, None, None)))
    return times


def alone_after(stale: Iterable[str]) -> set[str]:
    """Return the stale stages that DVC may reproduce alone: those after the first that reads the data.

    DVC checks everything above a stage with it, which takes longer with each stage of a run. The first stale stage and
    the manifest are reproduced with all that they need, data tracked by a `.dvc` file included; the others then read
    what this run has just made. What changes meanwhile is found stale by the next run.

    Args:
        stale: keys of `STAGES`.
    """
    reading = [stage for stage in STAGES if stage in set(stale) and stage != "sample"]
    return set(reading[1:])


def settle(project: Path, times: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the registry with artifacts, mend what is missing, track the data, and return what the run came to.

    Args:
        project: the project's folder.
        times: a `StageTime` mapping for every stage.
    """
    data_path = read_params(project / PARAMS_FILE).data.path
    notice = data_source.track(project, data_path)
    return {"mended": registry_care.mend(project), "notice": notice, "stages": times}


def _headline(project: Path) -> tuple[dict[str, float], tuple[Path, ...], dict[str, str]]:
    """Return what the list of runs shows of a finished pipeline: figures of the test rows, a picture, tried rungs."""
    folder = project / "artifacts" / "evaluate"
    figures = read_plain_json(folder / "metrics.json")
    named = {key: value for key, value in figures.items() if isinstance(value, int | float)}
    climb_record = climbed(project)
    if climb_record is None:
        return named, (folder / "comparison.png",), {}
    tags = {"mitigation": climb_record["stands"], "mitigation.tried": sentence(climb_record)}
    return named, (folder / "comparison.png", project / MITIGATION), tags


def _raise(project: Path, stage: str, log: Path) -> None:
    failure = failures.last(project)
    if failure is None:
        raise failures.unexplained(stage, project, dvc_commands.complaint(log), log)
    if failure.exit_code == failures.INTERRUPTED:
        raise KeyboardInterrupt
    kinds = {kind.exit_code: kind for kind in (UserError, failures.HaltedError)}
    raise kinds.get(failure.exit_code, EnvironmentFault)(failure.sentence)


def _compute_s(project: Path, stage: str, began_at: float) -> float | None:
    """Return the seconds inside the stage's steps; None when no process of it ran and DVC restored its outputs."""
    observed = project / "artifacts" / stage / "observed.json"
    if not observed.is_file() or observed.stat().st_mtime < began_at:
        return None
    steps: dict[str, float] = read_plain_json(observed)["seconds"]["steps"]
    return round(sum(steps.values()), 2)


def _kept(project: Path, data_path: str) -> list[Path]:
    """Return what is put back after the user's mistake."""
    return [*_FILES, *_replaceable(project), *_data_record(project, data_path)]


def _replaceable(project: Path) -> list[Path]:
    """Return what a run may replace: the folder of every stage, and what stages write elsewhere."""
    elsewhere = {path for path in dvc_commands.outputs(project) if path.parts[0] != "artifacts"}
    return sorted({*elsewhere, *(Path("artifacts") / stage for stage in STAGES)})


def _data_record(project: Path, data_path: str) -> list[Path]:
    """Return the `.dvc` file of the data set: DVC brings it up to date when the data changed."""
    found = data_source.dvc_file(project, data_path)
    return [] if found is None else [found]


def _bury_ghost(project: Path) -> None:
    """Mark the flow run of a pipeline that was killed as Crashed, and remember this one."""
    note = state_folder(project) / _CURRENT
    context = FlowRunContext.get()
    mine = str(context.flow_run.id) if context is not None and context.flow_run is not None else None
    if note.is_file():
        from tasks.prefect_runs import mark_crashed

        earlier = json.loads(note.read_text(encoding="utf-8"))["flow_run"]
        if earlier not in (None, mine):
            mark_crashed(earlier, "The process was killed; a later run found the project's lock free.")
    write_plain_json(note, {"flow_run": mine})
