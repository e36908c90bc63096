"""The complete settings of a pipeline run: nothing is left for an earlier run to decide."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks import data_source, overrides
from tasks.params import PARAMS_FILE, Params, flatten, read_params

DATA_PATH = "data.path"
_OF_PROJECT = ("data.", overrides.RECORDS)  # what has no default that fits every data set


def complete(project: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter as this run will have it: params.yaml with overrides.

    The records of weights files are left out where the candidates are named anew, so that they are taken as they are.

    Args:
        project: the project's folder.
        values: dotted key -> value.
    """
    settings = flatten(read_params(project / PARAMS_FILE)) | dict(values)
    if overrides.CANDIDATES in values:
        settings.pop(overrides.RECORDS, None)
    return settings


def apply(project: Path, data_path: str | None, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Write a run's settings to params.yaml and return what changed there.

    Args:
        project: the project's folder.
        data_path: the data set; None for the one in `settings` or params.yaml.
        settings: dotted key -> value; keys that are missing get their declared default, those of the data set what
            params.yaml has. None keeps params.yaml.

    Raises:
        UserError: a key or value is not allowed, no data set is there, or a hand edit not run yet would be lost.
    """
    values: dict[str, Any] = {}
    if settings is not None:
        defaults = {key: value for key, value in flatten(Params()).items() if not key.startswith(_OF_PROJECT)}
        values = defaults | dict(settings)
    if data_path is not None:
        values[DATA_PATH] = data_path
    values = settled(project, values)
    data_source.check(project, chosen_data_path(project, None, values))
    return overrides.write_overrides(project, values)


def settled(project: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which data.path is a folder; see `tasks.data_source.settle`."""
    return data_source.settle(project, values, read_params(project / PARAMS_FILE).data)


def chosen_data_path(project: Path, data_path: str | None, settings: Mapping[str, Any] | None) -> str:
    """Return the data set of a run that was given these two; params.yaml decides where both are silent."""
    named = data_path or (settings or {}).get(DATA_PATH)
    return str(named) if named else read_params(project / PARAMS_FILE).data.path
