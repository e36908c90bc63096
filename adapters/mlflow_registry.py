"""Versions and aliases in the MLflow registry: one version for every model, found again by what it holds."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import sha256_of
from adapters.mlflow_aliases import CARD_TAG, MODEL_TAG, intact, missing
from adapters.mlflow_package import code_digest, package
from adapters.mlflow_runs import stage_run
from adapters.mlflow_store import STORE, open_client, registry_uri, store_errors
from adapters.model_files import CARD, WEIGHTS
from adapters.model_names import check_name
from adapters.origin_files import FILES_TAG, ORIGIN, find, recorded

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from adapters.mlflow_records import StageRun

CODE_TAG, LOGGED_TAG = "code_sha256", "logged_model"
_LONGEST_DESCRIPTION = 5000  # MLflow's column
_CUT = "\n\n... The whole text is model_card.md, an artifact of the run of the stage report.\n"
STAGE, LOGGED_NAME = "register", "classifier"  # a run's model is runs:/<id>/classifier


@dataclass(frozen=True, slots=True)
class Release:
    """A model that is to be registered, and what its version will say.

    Args:
        name: of the registered model.
        alias: the alias that the version will carry.
        model: folder with the weights and the card.
        description: Markdown for people.
        tags: what can be searched for, name -> text.
        metrics: figures of the test rows.
        seen_rows: file of the rows that the model may have learned from; None where nobody knows.
        origin: folder of what it takes to make the model again, see `adapters.origin_files`; None where it is not kept.
    """

    name: str
    alias: str
    model: Path
    description: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    seen_rows: Path | None = None
    origin: Path | None = None

    @property
    def identity(self) -> dict[str, str]:
        """Return the digests that make it this model."""
        return {MODEL_TAG: sha256_of(self.model / WEIGHTS), CARD_TAG: sha256_of(self.model / CARD)}


def register(project: Path, release: Release, run: "StageRun | None" = None) -> str:
    """Make sure that the alias names a version with this model; return the version's number.

    An equal version is taken up again, its files are put back when they are gone. Safe to repeat at any point.

    Args:
        project: the project's folder.
        release: what to register; see `check_name`.
        run: the stage's run, which needs the code that is here now; None for a repair, which takes any equal version.

    Raises:
        UserError: the name cannot be registered.
        EnvironmentFault: the store failed.
    """
    check_name(release.name)
    client = open_client(project)
    with store_errors(registry_uri(project)), _one_at_a_time(project):
        wanted = release.identity | ({CODE_TAG: code_digest()} if run is not None else {})
        found = _find(client, release.name, wanted)
        number = str(found.version) if found is not None else _create(client, release, run)
        if found is not None and not intact(_location(client, found), release.model / WEIGHTS):
            _restore(client, found, release)
        client.set_registered_model_alias(release.name, release.alias, number)
        return number


def mend(project: Path, release: Release) -> str:
    """Bring the registry back to what artifacts say; return what was done, "" when nothing was missing."""
    problems = missing(project, release.name, release.alias, release.identity, release.model / WEIGHTS)
    if not problems:
        return ""
    number = register(project, release)
    return f"{'; '.join(problems)}; now {release.name}@{release.alias} is version {number} with the model of artifacts/"


def tag_version(project: Path, name: str, version: str, tags: Mapping[str, str]) -> None:
    """Set tags of a version."""
    client = open_client(project)
    with store_errors(registry_uri(project)):
        for key, text in tags.items():
            client.set_model_version_tag(name, version, key, text)


def describe_version(project: Path, name: str, version: str, text: str) -> None:
    """Give a version its description; what is longer than MLflow allows is cut between paragraphs, with a note.

    Args:
        project: the project's folder.
        name: of the registered model.
        version: its number.
        text: Markdown.
    """
    client = open_client(project)
    with store_errors(registry_uri(project)):
        client.update_model_version(name, version, _fitting(text))


def _fitting(text: str) -> str:
    if len(text) <= _LONGEST_DESCRIPTION:
        return text
    head = text[: _LONGEST_DESCRIPTION - len(_CUT)]
    return head[: max(head.rfind("\n"), 0)].rstrip() + _CUT


def tagged(project: Path, tag: str, text: str) -> list[tuple[str, str]]:
    """Return (name, version) of every version with such a tag.

    Args:
        project: the project's folder.
        tag: its name.
        text: its value, without an apostrophe.
    """
    client = open_client(project)
    with store_errors(registry_uri(project)):
        found = client.search_model_versions(f"tags.`{tag}` = '{text}'")
    return [(str(one.name), str(one.version)) for one in found]


def _find(client: "MlflowClient", name: str, wanted: Mapping[str, str]) -> "ModelVersion | None":
    """Return the newest version that holds the same model."""
    digest = wanted[MODEL_TAG]
    same = client.search_model_versions(f"tags.{MODEL_TAG} = '{digest}'")
    own = [one for one in same if one.name == name and all(one.tags.get(key) == wanted[key] for key in wanted)]
    return max(own, key=lambda one: int(one.version), default=None)


def _create(client: "MlflowClient", release: Release, run: "StageRun | None") -> str:
    if run is not None:
        return _create_within(client, release, run)
    with stage_run(STAGE) as repair:  # the registry lost the model: its new version needs a run to belong to
        return _create_within(client, release, repair)


def _create_within(client: "MlflowClient", release: Release, run: "StageRun") -> str:
    """Store the model with the run, then make the version in one step."""
    from mlflow.entities import LoggedModelOutput

    origin = client.get_run(run.run_id).info
    tags = {**release.tags, **release.identity, CODE_TAG: code_digest()}
    stored = client.create_logged_model(
        origin.experiment_id, LOGGED_NAME, origin.run_id, tags, {"backbone": tags.get("backbone", "")}, "classifier"
    )
    try:
        with tempfile.TemporaryDirectory(prefix="rootstock-") as scratch:
            folder = Path(scratch) / "model"
            package(release.model, folder, tags, release.seen_rows)
            if release.origin is not None:
                shutil.copytree(release.origin, folder / ORIGIN)
            client.log_model_artifacts(stored.model_id, str(folder))
        client.finalize_logged_model(stored.model_id, "READY")
    except BaseException:
        with contextlib.suppress(Exception):
            client.delete_logged_model(stored.model_id)
        raise
    client.log_outputs(origin.run_id, [LoggedModelOutput(stored.model_id, 0)])
    _log_metrics(client, origin.run_id, stored.model_id, release.metrics)
    _make_registered_model(client, release.name)
    version = client.create_model_version(
        release.name,
        stored.artifact_location,
        origin.run_id,
        tags={**tags, LOGGED_TAG: stored.model_id},
        description=release.description,
    )
    return str(version.version)


def _log_metrics(client: "MlflowClient", run_id: str, model_id: str, metrics: Mapping[str, float]) -> None:
    """Record figures of the model, so that MLflow's pages compare models by them."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    entries = [Metric(key, float(value), now_ms, 0, model_id=model_id, run_id=run_id) for key, value in metrics.items()]
    client.log_batch(run_id, metrics=entries)


def _make_registered_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=f"Classifiers of the data set {name}, made by Rootstock.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _location(client: "MlflowClient", version: "ModelVersion") -> str:
    return str(client.get_model_version_download_uri(version.name, version.version))


def _restore(client: "MlflowClient", found: "ModelVersion", release: Release) -> None:
    """Put the files of a version back where its record says they are, and what made it beside them."""
    location = Path(_location(client, found))
    location.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rootstock-", dir=location.parent) as scratch:
        folder = Path(scratch) / "model"
        tags = {**release.tags, **release.identity, CODE_TAG: code_digest()}
        package(release.model, folder, tags, release.seen_rows)
        origin = _origin_of(client, found, [location], Path(scratch))
        if origin is None and FILES_TAG in found.tags:
            origin, said = release.origin, release.tags.get(FILES_TAG, "{}")  # "{}": nothing is kept
            client.set_model_version_tag(found.name, found.version, FILES_TAG, said)
        if origin is not None:
            shutil.copytree(origin, folder / ORIGIN)
        shutil.rmtree(location, ignore_errors=True)
        folder.rename(location)


def _origin_of(client: "MlflowClient", found: "ModelVersion", places: list[Path], scratch: Path) -> Path | None:
    """Return a folder of what made a version, as it was kept: with the version, or with the run that registered it."""
    from mlflow.exceptions import MlflowException

    digests = recorded(found.tags)
    with contextlib.suppress(MlflowException, OSError):  # the run, or its files, are gone
        client.download_artifacts(str(found.run_id), ORIGIN, str(scratch))
    return find([*places, scratch], digests) if digests else None


@contextlib.contextmanager
def _one_at_a_time(project: Path) -> Iterator[Any]:
    """Keep two processes from making the same version twice."""
    from filelock import FileLock

    (project / STORE).mkdir(exist_ok=True)
    with FileLock(project / STORE / ".register.lock"):
        yield
