"""What one MLflow run holds: parameters, metrics, tags and files, sent in batches."""

import getpass
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import git_commands
from adapters.mlflow_texts import key_of, text_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunTag

_METRICS_A_REQUEST, _TEXTS_A_REQUEST = 900, 100  # MLflow's limits are 1000 of all, 100 of params and of tags
_LONGEST_DIGEST = 36


class StageRun:
    """Collects what a stage reports and writes it in batches; `close` ends the run.

    Args:
        client: an open client.
        run_id: the run to write to.
    """

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.run_id = run_id
        self._client = client
        self._now_ms = int(time.time() * 1000)
        self._metrics: dict[tuple[str, int], Metric] = {}
        self._params: list[Param] = []
        self._tags: list[RunTag] = []

    def params(self, values: Mapping[str, Any]) -> None:
        """Record settings; a value is kept as its text."""
        from mlflow.entities import Param

        self._params += [Param(key_of(name), text_of(value)) for name, value in values.items()]

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record figures of the whole stage."""
        self.metrics_at(0, values)

    def metrics_at(self, step: int, values: Mapping[str, float]) -> None:
        """Record figures at a step of a curve; a second value at the same step replaces the first.

        Args:
            step: 0-based or 1-based position on the curve's axis.
            values: name -> number.
        """
        from mlflow.entities import Metric

        for name, value in values.items():
            self._metrics[key_of(name), step] = Metric(key_of(name), float(value), self._now_ms, step)

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags; they can be searched for."""
        from mlflow.entities import RunTag

        self._tags += [RunTag(name, str(value)) for name, value in values.items()]

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, or of everything in a folder, with the run.

        Args:
            path: what to copy.
            folder: where the run shows it; at the top when None.
        """
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), folder)
        else:
            self._client.log_artifact(self.run_id, str(path), folder)

    def flush(self) -> None:
        """Send what was collected."""
        metrics, params, tags = list(self._metrics.values()), self._params, self._tags
        self._metrics, self._params, self._tags = {}, [], []
        for start in range(0, len(metrics), _METRICS_A_REQUEST):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + _METRICS_A_REQUEST])
        for start in range(0, max(len(params), len(tags)), _TEXTS_A_REQUEST):
            stop = start + _TEXTS_A_REQUEST
            self._client.log_batch(self.run_id, params=params[start:stop], tags=tags[start:stop])

    def close(self, status: str) -> None:
        """Send what was collected and end the run.

        Args:
            status: "FINISHED", "FAILED" or "KILLED".
        """
        try:
            self.flush()
        finally:
            self._client.set_terminated(self.run_id, status)


def run_tags(project: Path, source: str) -> dict[str, str]:
    """Return the tags by which MLflow's pages show who ran what from which commit.

    Args:
        project: the project's folder.
        source: the file that was run, relative to the project.
    """
    commit = git_commands.head(project)
    return {
        "mlflow.source.name": source,
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        "python": ".".join(map(str, sys.version_info[:3])),
        **({"mlflow.source.git.commit": commit} if commit else {}),
    }


def data_input(name: str, data_path: str, digest: str) -> "DatasetInput":
    """Describe the data set that a run used.

    Args:
        name: what it is called.
        data_path: where it is.
        digest: as DVC recorded it, at most 36 characters.
    """
    import json

    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": data_path})
    dataset = Dataset(name=name, digest=digest[:_LONGEST_DIGEST], source_type="local", source=source)
    return DatasetInput(dataset=dataset, tags=[InputTag("mlflow.data.context", "pipeline")])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an account
        return "unknown"
