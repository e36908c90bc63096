"""One warm process for a pipeline run: stages and DVC start as copies of it, with their packages already imported."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from adapters import environment, servers
from adapters.launch import WARM
from adapters.mlflow_store import prepare_environment
from adapters.project import STATE_FOLDER

# What DVC and the stages import, none of it the project's own code; what every stage needs is in the first group.
PACKAGES = (
    (
        "prefect.main",
        "prefect.flow_engine",
        "prefect.task_engine",
        "prefect.client.orchestration",
        "prefect.utilities.visualization",
        "anyio._backends._asyncio",
        "dvc.cli.parser",
        "dvc.repo.reproduce",
        "dvc.commands.repro",
        "dvc.commands.status",
        "dvc.cachemgr",
        "dvc.data_cloud",
        "dvc.dirs",
        "dvc.lock",
        "dvc.repo.graph",
        "dvc.repo.index",
        "dvc.repo.metrics",
        "dvc.repo.open_repo",
        "dvc.repo.params",
        "dvc.repo.plots",
        "dvc.repo.stage",
        "dvc.rwlock",
        "dvc_data.hashfile.db.local",
        "dvc_data.hashfile.status",
        "dvc_render.html",
        "scmrepo.git",
        "networkx",
        "mlflow.tracking",
        "mlflow.store.tracking.sqlalchemy_workspace_store",
        "mlflow.store.model_registry.sqlalchemy_workspace_store",
        "alembic.command",
        "ruamel.yaml",
        "filelock",
        "sklearn.datasets",
        "PIL.PngImagePlugin",
        "PIL.JpegImagePlugin",
        "PIL.BmpImagePlugin",
        "PIL.GifImagePlugin",
        "PIL.PpmImagePlugin",
        "pandas",
        "pyarrow.dataset",
        "pyarrow.parquet",
    ),
    ("great_expectations", "jinja2"),
    (
        "torch",
        "onnxruntime",
        "safetensors.torch",
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
        "captum.attr",
        "torch._dynamo",  # by torch.optim
        "scipy.stats",
        "mlflow.pyfunc",
    ),
    ("torchvision",),
)
_SOCKET = Path(STATE_FOLDER, "warm.sock")
_BOUND_S, _POLL_S = 5.0, 0.01


@contextlib.contextmanager
def warm_process(project: Path) -> Iterator[None]:
    """Keep a warm process for the stages that are run inside the block, unless one is kept already.

    Without it, or on a system where forking is not safe, everything runs the same in processes of its own.

    Args:
        project: the project's folder.
    """
    if sys.platform != "linux" or environment.get(WARM) is not None:
        yield
        return
    prepare_environment(project)
    (project / _SOCKET).unlink(missing_ok=True)  # of a run that was killed
    server = servers.start_warm_process(project, _SOCKET, PACKAGES)
    environment.put(WARM, str(_SOCKET))
    try:
        _wait_until_bound(project, server)
        yield
    finally:
        environment.drop(WARM)
        servers.stop(server)
        (project / _SOCKET).unlink(missing_ok=True)


def _wait_until_bound(project: Path, server: servers.Server) -> None:
    deadline = time.monotonic() + _BOUND_S
    while not (project / _SOCKET).exists() and server.alive() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
