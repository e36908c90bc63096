"""What `rootstock run` does: check everything, stop when nothing is stale, else run the pipeline flow and show what came out."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters import environment
from adapters.locks import ProjectBusyError, holder_of
from adapters.project import enter_project, state_folder
from adapters.servers import running_api, start_prefect_server, find_free_port, stop, wait_until
from tasks import data_source, overrides, registry_care, summary
from tasks.params import flatten, read_params
from transfer.errors import UserError

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
    _refuse_if_busy(project)
    values = overrides.parse_overrides(texts, project, typed_in)
    changes = overrides.planned_changes(project, values)
    settings = _complete(values)
    data_source.check(project, settings["data.path"])
    if not changes and not stale(project):
        mended = registry_care.mend(project)
        summary.show_unchanged(project, mended)
        return
    with _api(project):
        outcome = _call(load_pipeline(), settings)
    summary.show(project, outcome)
