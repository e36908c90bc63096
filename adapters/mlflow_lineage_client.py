"""Ask MLflow's client where versions come from: slower than the database, and right for every store."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from adapters.mlflow_store import open_client, registered_models, registry_uri, store_errors
from adapters.version_records import Run, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as StoredRun
    from mlflow.entities.model_registry import ModelVersion

Answer = TypeVar("Answer")
_A_PAGE = 1000


def names(project: Path) -> list[str]:
    """Return the registered models, sorted."""
    return _asked(project, lambda client: sorted(model.name for model in registered_models(client)), [])


def versions_of(project: Path, name: str) -> list[Version]:
    """Return the versions of a model, the newest first."""
    quote = '"' if "'" in name else "'"
    text = (
        "" if quote in name else f"name = {quote}{name}{quote}"
    )  # MLflow knows no way to escape: then all are asked for
    return sorted((one for one in _searched(project, text) if one.name == name), key=lambda one: -int(one.number))


def version(project: Path, name: str, number: str) -> Version | None:
    """Return a version; None when there is none."""

    def ask(client: "MlflowClient") -> Version | None:
        return _version(client, client.get_model_version(name, number), _aliases(client))

    return _asked(project, ask, None)


def versions_of_data(project: Path, digest: str) -> list[Version]:
    """Return every version that was made from a state of a data set."""
    found = _searched(project, f"tags.data_digest = '{digest}'")
    return sorted(found, key=lambda one: (one.name, -int(one.number)))


def known_data(project: Path) -> list[tuple[str, str, int]]:
    """Return (digest, path, number of versions) of every state of a data set, the latest used first."""
    counts: dict[str, tuple[str, int]] = {}
    for one in sorted(_searched(project, ""), key=lambda one: -one.created_ms):
        digest = one.tags.get("data_digest")
        if digest is not None:
            path, count = counts.get(digest, (one.tags.get("data_path") or one.tags.get("data", ""), 0))
            counts[digest] = (path, count + 1)
    return [(digest, path, count) for digest, (path, count) in counts.items()]


def run(project: Path, run_id: str) -> Run | None:
    """Return a run; None when there is none."""
    return _asked(project, lambda client: _run(client.get_run(run_id)), None)


def parent_of(project: Path, run_id: str) -> Run | None:
    """Return the run that a run belongs to; None when it belongs to none."""

    def ask(client: "MlflowClient") -> Run | None:
        parent = client.get_run(run_id).data.tags.get("mlflow.parentRunId")
        return None if parent is None else _run(client.get_run(parent))

    return _asked(project, ask, None)


def children_of(project: Path, run_id: str) -> list[Run]:
    """Return the runs below a run, in the order of their beginning."""

    def ask(client: "MlflowClient") -> list[Run]:
        experiment = client.get_run(run_id).info.experiment_id
        below = f"tags.`mlflow.parentRunId` = '{run_id}'"
        found = client.search_runs([experiment], below, order_by=["attributes.start_time ASC"])
        return [_run(one) for one in found]

    return _asked(project, ask, [])


def params_of(project: Path, run_id: str) -> dict[str, str]:
    """Return what a run says of its parameters, as text."""
    return _asked(project, lambda client: dict(client.get_run(run_id).data.params), {})


def _searched(project: Path, text: str) -> list[Version]:
    def ask(client: "MlflowClient") -> list[Version]:
        found: list[ModelVersion] = []
        token: str | None = None
        while token != "":
            page = client.search_model_versions(text, max_results=_A_PAGE, page_token=token)
            found, token = [*found, *page], page.token or ""
        aliases = _aliases(client)
        return [_version(client, one, aliases) for one in found if one.status == "READY"]

    return _asked(project, ask, [])


def _asked(project: Path, ask: "Callable[[MlflowClient], Answer]", absent: Answer) -> Answer:
    client = open_client(project)
    from mlflow.exceptions import MlflowException

    with store_errors(registry_uri(project)):
        try:
            return ask(client)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return absent
            raise


def _aliases(client: "MlflowClient") -> dict[tuple[str, str], tuple[str, ...]]:
    named: dict[tuple[str, str], tuple[str, ...]] = {}
    for model in registered_models(client):
        for alias, number in sorted((model.aliases or {}).items()):
            named[model.name, str(number)] = (*named.get((model.name, str(number)), ()), alias)
    return named


def _version(client: "MlflowClient", found: "ModelVersion", aliases: dict[tuple[str, str], tuple[str, ...]]) -> Version:
    number = str(found.version)
    location = str(client.get_model_version_download_uri(found.name, number))
    named = aliases.get((found.name, number), ())
    return Version(
        found.name, number, int(found.creation_timestamp), location, found.run_id or "", named, dict(found.tags)
    )


def _run(found: "StoredRun") -> Run:
    info, stage = found.info, found.data.tags.get("stage", "")
    deleted = info.lifecycle_stage == "deleted"
    return Run(info.run_id, info.run_name or "", stage, info.status, deleted, info.artifact_uri or "")
