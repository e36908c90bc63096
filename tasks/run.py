"""What `rootstock run` does: check everything, stop when nothing is stale, else run the pipeline flow and show it."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from adapters import environment, prefect_api, relabelling, servers
from adapters.locks import refuse_if_busy
from adapters.mlflow_store import open_client
from adapters.project import enter_project
from tasks import data_source, licences, mitigation, overrides, pipeline_settings, registry_care, summary
from tasks.cli import say
from tasks.staleness import stale_stages
from tasks.warm import warm_process
from transfer.errors import EnvironmentFault, UserError

LoadPipeline = Callable[[], Callable[..., Any]]


def run(texts: Sequence[str], load_pipeline: LoadPipeline) -> None:
    """Bring the project up to date.

    Args:
        texts: `key=value` each.
        load_pipeline: imports and returns the pipeline flow; called once the API it talks to is known.

    Raises:
        UserError: an override, the data, a weights file is at fault, or another run is at work.
    """
    typed_in = Path.cwd()
    project = enter_project()
    environment.prepare(project)
    environment.quieten_prefect()
    refuse_if_busy(project)
    relabelling.refuse_if_cut_off(project)
    if told := mitigation.put_back(project):
        say(told)
    values = pipeline_settings.settled(project, overrides.parse_overrides(texts, project, typed_in))
    changes = overrides.planned_changes(project, values)
    settings = pipeline_settings.complete(project, values)
    data_path = str(settings["data.path"])
    data_source.check(project, data_path)
    if any(key.startswith("data.") for key in changes):
        data_source.examine(settings)
    if not changes and not stale_stages(project) and not mitigation.is_due(project):
        mended = registry_care.mend(project)
        summary.show_unchanged(project, mended, data_source.track(project, data_path))
        return
    for sentence in licences.what_is_unknown(project, settings):
        say(sentence)
    with warm_process(project), _api(project):
        outcome = _call(load_pipeline(), data_path, settings)
    summary.show(project, outcome)


@contextlib.contextmanager
def _api(project: Path) -> Iterator[None]:
    """Let Prefect talk to the API that answers, or to the project's own server on a free port for this run.

    The heavy clients are imported and opened while the server starts: it is another process, on another core.
    """
    answering = prefect_api.running_api(project)
    if answering is not None:
        environment.put("PREFECT_API_URL", answering)
        yield
        return
    server = servers.start_prefect_server(project, servers.find_free_port(), temporary=True)
    try:
        environment.put("PREFECT_API_URL", f"{server.address}/api")
        warm_up = threading.Thread(target=_warm_up, args=(project,), daemon=True)
        warm_up.start()
        servers.wait_until(server, "/api/health")
        warm_up.join()
        with _without_heartbeats():
            yield
    finally:
        environment.drop("PREFECT_API_URL")
        servers.stop(server)


def _warm_up(project: Path) -> None:
    for name in ("tasks.pipeline", "mlflow.tracking"):
        import_module(name)
    with contextlib.suppress(EnvironmentFault):  # whoever needs the store says so
        open_client(project)


@contextlib.contextmanager
def _without_heartbeats() -> Iterator[None]:
    """Send none to a server that lives for one run: it looks for no lost runs, and ending them takes up to a second."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def _call(pipeline: Callable[..., Any], data_path: str, settings: dict[str, Any]) -> dict[str, Any]:
    from prefect.exceptions import CancelledRun

    from tasks.prefect_runs import send_logs

    try:
        outcome: dict[str, Any] = pipeline(data_path=data_path, settings=settings)
    except CancelledRun as error:
        raise UserError(str(error)) from error
    finally:
        send_logs()
    return outcome
