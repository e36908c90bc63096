"""Empty databases of Prefect and MLflow, migrated once an installation instead of once a project.

Both tools bring a new SQLite file to their present schema by replaying the migrations of years: 6 and 4 s before the
first stage of a new project. `make setup` lets their own commands do it once and keeps the files beside the packages,
named after the versions that made them; a project starts with a copy. Without such a file the tools migrate as ever.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from adapters.json_files import atomic_write
from transfer.errors import EnvironmentFault

PREFECT, MLFLOW = "prefect", "mlflow"


def main() -> None:
    """Make what is missing; an installation that cannot keep them does without."""
    for tool, migrate in _MIGRATE.items():
        if not kept(tool).is_file():
            with contextlib.suppress(EnvironmentFault, OSError, subprocess.CalledProcessError):
                _make(tool, migrate)


def kept(tool: str) -> Path:
    """Return where the empty database of the installed version is kept.

    Args:
        tool: "prefect" or "mlflow".
    """
    return Path(sys.prefix) / "share" / "rootstock" / f"{tool}-{metadata.version(tool)}.db"


def lay_down(tool: str, place: Path) -> None:
    """Put an empty database where none is yet; where none is kept, the tool makes its own.

    Args:
        tool: "prefect" or "mlflow".
        place: the file that the tool will open.
    """
    if place.exists() or not kept(tool).is_file():
        return
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=_made(place.parent)) as folder:
        copy = Path(folder) / place.name
        shutil.copyfile(kept(tool), copy)
        place.hardlink_to(copy)  # unlike a renaming, this never replaces what another process has made meanwhile


def _make(tool: str, migrate: Callable[[Path], tuple[list[str], dict[str, str]]]) -> None:
    with tempfile.TemporaryDirectory(prefix="rootstock-") as folder:
        made = Path(folder) / f"{tool}.db"
        arguments, settings = migrate(made)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
        subprocess.run(
            [sys.executable, "-m", *arguments], cwd=folder, env=inherited | settings, capture_output=True, check=True
        )
        with atomic_write(kept(tool)) as temporary, contextlib.closing(sqlite3.connect(made)) as connection:
            connection.execute("vacuum into ?", (str(temporary),))  # whole, whatever journal the tool chose


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _migrate_prefect(made: Path) -> tuple[list[str], dict[str, str]]:
    settings = {
        "PREFECT_HOME": str(made.parent),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{made}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    return ["prefect", "server", "database", "upgrade", "-y"], settings


def _migrate_mlflow(made: Path) -> tuple[list[str], dict[str, str]]:
    return ["mlflow", "db", "upgrade", f"sqlite:///{made}"], {"MLFLOW_DISABLE_TELEMETRY": "true"}


_MIGRATE = {PREFECT: _migrate_prefect, MLFLOW: _migrate_mlflow}

if __name__ == "__main__":
    main()
