"""Fixtures that every test may use: a project in a temporary folder, a Prefect API, an MLflow database, no network."""

import contextvars
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from adapters import environment

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ROOTSTOCK_SHARED", ROOT.parent / "shared"))
CODE = ("flows", "tasks", "adapters", "transfer")
_FOREIGN_SETTINGS = ("PREFECT_", "MLFLOW_", "ROOTSTOCK_", "DVC_", "GX_")
_ALLOWED = ("ROOTSTOCK_SHARED", "ROOTSTOCK_SCREENSHOTS")
_SCRATCH: list[Path] = []

settings.register_profile("rootstock", database=None, deadline=None, max_examples=50)
settings.load_profile("rootstock")


def pytest_configure() -> None:
    """Start from the project's own environment, before any test module imports Prefect or MLflow."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children would ignore Ctrl-C
    for name in [name for name in os.environ if name.startswith(_FOREIGN_SETTINGS)]:
        if name not in _ALLOWED:
            del os.environ[name]
    scratch = Path(tempfile.mkdtemp(prefix="rootstock-tests-"))
    _SCRATCH.append(scratch)
    environment.prepare(scratch)
    (scratch / ".prefect").mkdir()  # Prefect makes it when it is imported
    os.environ["PREFECT_API_URL"] = (
        ""  # prefect.toml names the server that `make ui` starts: it is not ours to write to
    )


def pytest_unconfigure() -> None:
    """Remove what the session wrote outside pytest's own temporary folders."""
    while _SCRATCH:
        shutil.rmtree(_SCRATCH.pop(), ignore_errors=True)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the code under test."""
    return ROOT


@pytest.fixture(scope="session")
def lay_out() -> Callable[[Path], None]:
    """Return the function that makes a project in a folder, for fixtures that outlive a test."""
    return _lay_out


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project (params.yaml, dvc.yaml, DVC and git initialised, no code, no data) and change into it."""
    folder = tmp_path / "project"
    _lay_out(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def project_with_code(project: Path) -> Path:
    """Make a project that also holds the code and the shipped weights, so that DVC can run its stages."""
    _add_code(project)
    return project


@pytest.fixture(scope="session")
def lay_out_with_code() -> Callable[[Path], None]:
    """Return what makes a folder a project with code, for fixtures that outlive a test."""

    def lay_out(folder: Path) -> None:
        _lay_out(folder)
        _add_code(folder)

    return lay_out


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real images and weights beside the project; skip where it is absent."""
    if not (SHARED / "datasets").is_dir():
        pytest.skip(
            f"no real images at {SHARED / 'datasets'}; set ROOTSTOCK_SHARED to a folder with datasets/ and weights/"
        )
    return SHARED


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """Start one Prefect API for the session; only tests that ask for `prefect_server` see it."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    harness = prefect_test_harness(server_startup_timeout=120)
    apart = contextvars.copy_context()  # the harness changes settings for the whole session otherwise
    apart.run(harness.__enter__)
    yield str(apart.run(PREFECT_API_URL.value))
    apart.run(harness.__exit__, None, None, None)


@pytest.fixture
def prefect_server(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point this test, and the processes it starts, at the session's Prefect API."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield prefect_api


@pytest.fixture(scope="session")
def great_expectations() -> None:
    """Pay for the import of Great Expectations (3 s) once, before the first test that needs it."""
    from adapters.expectations import quiet_tool

    with quiet_tool():
        pass


@pytest.fixture(scope="session")
def answering() -> Callable[[str], AbstractContextManager[str]]:
    """Return what runs something that answers like a Prefect API with its state in a folder, and yields its URL."""
    return _answering


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate one empty MLflow database for the session (3-6 s); tests copy it."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    engine = create_sqlalchemy_engine(f"sqlite:///{path}")
    _initialize_tables(engine)
    engine.dispose()
    return path


@pytest.fixture
def mlflow_project(project: Path, migrated_database: Path) -> Path:
    """Give the project its own copy of the migrated MLflow database."""
    (project / "mlruns").mkdir()
    shutil.copyfile(migrated_database, project / "mlruns" / "mlflow.db")
    return project


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _refuse_remote(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_remote(self, address)
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)


@pytest.fixture(autouse=True)
def _own_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test read or fill this user's store of weights."""
    monkeypatch.setenv("ROOTSTOCK_WEIGHTS", str(_SCRATCH[0] / "weights"))


@contextmanager
def _answering(home: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"home": home} if self.path.endswith("settings") else True).encode())

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _refuse_remote(used: socket.socket, address: Any) -> None:
    if used.family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = str(address[0])
    if host != "localhost" and not ip_address(host).is_loopback:
        raise ConnectionRefusedError(f"tests run offline, and this one connects to {host}")


def _add_code(folder: Path) -> None:
    for name in (*CODE, "backbones"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prefect.toml", "prefect.yaml", ".gitignore"):
        shutil.copyfile(ROOT / name, folder / name)


def _lay_out(folder: Path) -> None:
    (folder / ".dvc").mkdir(parents=True)
    (folder / "expectations").mkdir()
    for name in ("params.yaml", "dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "expectations/README.md"):
        shutil.copyfile(ROOT / name, folder / name)
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("config", "user.name", "Rootstock Tests"),
        ("config", "user.email", "tests@example.invalid"),
    ):
        subprocess.run(("git", *arguments), cwd=folder, check=True)
