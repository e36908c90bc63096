"""What `rootstock run` does: check everything, stop when nothing is stale, else run the pipeline flow and show what came out."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters import environment
from adapters.project import enter_project
from tasks import data_source, summary
from tasks.params import flatten, read_params
from transfer.errors import UserError

LoadPipeline = Callable[[], Callable[..., Any]]


def run(overrides: Sequence[str], load_pipeline: LoadPipeline) -> None:
    """Bring the project up to date.

    Args:
        overrides: `key=value` texts.
        load_pipeline: imports and returns the pipeline flow; called once the API it talks to is known.

    Raises:
        UserError: an override, the data, a weights file is at fault, or another run is at work.
    """
    project = enter_project()
    environment.prepare(project)
