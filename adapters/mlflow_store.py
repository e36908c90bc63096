"""Open the MLflow store: the project's own SQLite file, or the server that the user's environment names."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adapters import empty_databases, environment
from adapters.project import find_project
from transfer.errors import EnvironmentFault

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

TRACKING_URI, REGISTRY_URI = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
STORE = Path("mlruns")
DATABASE = STORE / "mlflow.db"
ARTIFACTS = STORE / "artifacts"
_MODELS_A_PAGE = 1000  # MLflow's limit
_CHATTY = ("alembic", "mlflow.store.db.utils", "mlflow.pyfunc")  # they report every step of what goes well
_PLACES = (  # where the database keeps absolute paths of files
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own 7 wait minutes for a server that is down
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def tracking_uri(project: Path) -> str:
    """Return where runs and models are kept: MLFLOW_TRACKING_URI, else the project's own database."""
    return environment.get(TRACKING_URI) or own_uri(project)


def registry_uri(project: Path) -> str:
    """Return where model versions are kept: MLFLOW_REGISTRY_URI, else where runs are."""
    return environment.get(REGISTRY_URI) or tracking_uri(project)


def own_uri(project: Path) -> str:
    """Return the URI of the project's own database."""
    return f"sqlite:///{project.resolve() / DATABASE}"


def is_own(project: Path) -> bool:
    """Tell whether runs and models go to the project's own database."""
    return tracking_uri(project) == own_uri(project) == registry_uri(project)


def artifact_location(project: Path, experiment: str) -> str | None:
    """Return the folder of a new experiment's artifacts; None where a server decides.

    Args:
        project: the project's folder.
        experiment: the experiment's name, without slashes.
    """
    return str(project.resolve() / ARTIFACTS / experiment) if is_own(project) else None


def open_client(project: Path | None = None) -> "MlflowClient":
    """Return a client; the project's own database is made, or brought to its present schema, without a word.

    Args:
        project: the project's folder; the one that holds the current directory when None.

    Raises:
        EnvironmentFault: the store cannot be opened.
    """
    project = project or find_project()
    prepare_environment(project)
    from mlflow import MlflowClient

    tracking, registry = tracking_uri(project), registry_uri(project)
    with store_errors(tracking):
        if not is_own(project):
            return MlflowClient(tracking, registry)
        return _own_client(project)


@contextmanager
def as_default(project: Path) -> Iterator[None]:
    """Make the project's store MLflow's default inside the block.

    MLflow resolves models:/ and runs:/ URIs against its default store, whatever URIs it is given with them, and makes a
    database in the current directory where none is named.
    """
    exported = {name: environment.get(name) for name in (TRACKING_URI, REGISTRY_URI)}
    environment.put(TRACKING_URI, tracking_uri(project))
    environment.put(REGISTRY_URI, registry_uri(project))
    try:
        yield
    finally:
        for name, value in exported.items():
            if value is None:
                environment.drop(name)
            else:
                environment.put(name, value)


def follow_move(project: Path) -> None:
    """Point the project's own database at the files beside it after the project was moved or copied."""
    here = f"{project.resolve() / ARTIFACTS}/"
    try:
        with closing(sqlite3.connect(f"{(project / DATABASE).resolve().as_uri()}?mode=rw", uri=True)) as connection:
            rows = connection.execute("select name, artifact_location from experiments").fetchall()
            for earlier in {place.removesuffix(name) for name, place in rows if place.endswith(f"/{ARTIFACTS}/{name}")}:
                if earlier != here:
                    _replace_prefix(connection, earlier, here)
    except sqlite3.Error:  # no such file, another schema or a damaged file: MLflow says what is wrong when it opens it
        return


def prepare_environment(project: Path) -> None:
    """Set what MLflow reads from the environment on its import, without overruling what the user exported."""
    environment.prepare(project)
    for name, value in _SETTINGS.items():
        if environment.get(name) is None:
            environment.put(name, value)
    for logger in _CHATTY:
        logging.getLogger(logger).setLevel(logging.WARNING)


def registered_models(client: "MlflowClient") -> "Iterator[RegisteredModel]":
    """Yield every registered model, page after page: MLflow returns 100 otherwise."""
    token: str | None = None
    while token != "":
        page = client.search_registered_models(max_results=_MODELS_A_PAGE, page_token=token)
        yield from page
        token = page.token or ""


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into one sentence.

    Args:
        uri: the store's URI, for the sentence.

    Raises:
        EnvironmentFault: MLflow, the database or the disk failed inside the block.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        problem = " ".join(str(error).split())[:300].rstrip(".")
        raise EnvironmentFault(
            f"The MLflow store {uri} failed ({problem}); `rootstock doctor` says more, then run the same command again."
        ) from error


def _own_client(project: Path) -> "MlflowClient":
    """Open the project's own database; only one process at a time may make it."""
    from filelock import FileLock
    from mlflow import MlflowClient

    uri = own_uri(project)
    (project / ARTIFACTS).mkdir(parents=True, exist_ok=True)
    with FileLock(project / STORE / ".migration.lock"):
        empty_databases.lay_down(empty_databases.MLFLOW, project / DATABASE)
        client = MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
        follow_move(project)
        return client


def _replace_prefix(connection: sqlite3.Connection, earlier: str, here: str) -> None:
    with connection:
        for table, column in _PLACES:
            connection.execute(
                f"update {table} set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ?",  # noqa: S608  our own names
                (here, len(earlier) + 1, len(earlier), earlier),
            )
