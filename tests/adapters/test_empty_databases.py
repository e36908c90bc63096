"""An empty database is laid down where none is, and never over one."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from adapters import empty_databases


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "installation"))
    return tmp_path


def keep(tool: str, content: bytes) -> None:
    place = empty_databases.kept(tool)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def test_project_without_database_gets_a_copy(installation: Path) -> None:
    keep("mlflow", b"empty")
    place = installation / "project" / "mlruns" / "mlflow.db"
    empty_databases.lay_down("mlflow", place)
    assert place.read_bytes() == b"empty"
    assert [path.name for path in place.parent.iterdir()] == ["mlflow.db"]
    place.write_bytes(b"used")
    assert empty_databases.kept("mlflow").read_bytes() == b"empty"


def test_what_is_there_stays(installation: Path) -> None:
    keep("prefect", b"empty")
    (installation / "prefect.db").write_bytes(b"used")
    empty_databases.lay_down("prefect", installation / "prefect.db")
    assert (installation / "prefect.db").read_bytes() == b"used"


def test_installation_that_keeps_none_leaves_it_to_the_tool(installation: Path) -> None:
    empty_databases.lay_down("prefect", installation / "prefect.db")
    assert not (installation / "prefect.db").exists()


@pytest.mark.slow
def test_tools_find_nothing_to_migrate_in_what_is_kept(installation: Path) -> None:
    empty_databases.main()
    for tool, table in (("prefect", "flow_run"), ("mlflow", "runs")):
        with closing(sqlite3.connect(empty_databases.kept(tool))) as connection:
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,)  # noqa: S608  our own names
            assert connection.execute("select count(*) from alembic_version").fetchone() == (1,)
