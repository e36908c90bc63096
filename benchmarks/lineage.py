"""How long `rootstock lineage` takes, both ways, in a registry of many versions: whole processes, as users start them.

    python -m benchmarks.lineage [VERSIONS] [REPEATS]

One version and its runs are written by MLflow's client, as a pipeline run does; the others are copies of its rows in
the database, with ids of their own. Every hundredth is of one state of the data set, all others are of another.
"""

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from adapters import empty_databases
from adapters.mlflow_store import DATABASE, open_client

ROOT = Path(__file__).resolve().parents[1]
NAME, RARE, COMMON = "digits", "a" * 32 + ".dir", "b" * 32 + ".dir"
STAGES = ("sample", "manifest", "validate", "select", "finetune", "reference", "evaluate", "register")
N_PARAMS, N_TAGS = 55, 26
_COLUMNS = {
    "runs": "run_uuid, name, source_type, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id",
    "tags": "key, value",
    "params": "key, value",
}


def main(n_versions: int, repeats: int) -> None:
    """Print a table of seconds."""
    print(f"{n_versions} versions, {repeats} processes a question; seconds of wall time, and of processor time\n")
    print("| question | versions told of | wall, median | wall, most | CPU, median |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="rootstock-") as folder:
        project = Path(folder) / "project"
        fill(project, n_versions)
        questions = {
            f"lineage {NAME}/{n_versions // 2}": 1,
            f"lineage {NAME}": 1,
            f"lineage data/{NAME}@{RARE[:8]}": (n_versions + 99) // 100,
            f"lineage data/{NAME}@{COMMON[:8]}": n_versions - (n_versions + 99) // 100,
        }
        for question, told in questions.items():
            wall, cpu = zip(*(timed(project, *question.split()) for _ in range(repeats)), strict=True)
            print(f"| `rootstock {question}` | {told} | {median(wall):.2f} | {max(wall):.2f} | {median(cpu):.2f} |")


def fill(project: Path, n_versions: int) -> None:
    """Make a project whose registry holds so many versions of a model, each with its runs.

    Args:
        project: folder to make.
        n_versions: at least 1.
    """
    (project / "mlruns").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, project / name)
    subprocess.run(("git", "init", "--quiet"), cwd=project, check=True)
    empty_databases.lay_down(empty_databases.MLFLOW, project / DATABASE)
    parent = _write_one(project)
    with contextlib.closing(sqlite3.connect(project / DATABASE)) as connection, connection:
        for number in range(1, n_versions + 1):
            _copy(connection, parent, number)
        connection.execute("delete from model_versions where version = 0")
        connection.execute("delete from model_version_tags where version = 0")
        connection.execute(
            "insert into registered_model_aliases (alias, version, name) values ('champion', ?, ?)", (n_versions, NAME)
        )


def timed(project: Path, *arguments: str) -> tuple[float, float]:
    """Return the seconds of wall and of processor time of a command that ended well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments], cwd=project, env=environment, check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _write_one(project: Path) -> str:
    """Write the pipeline run and the version that the others are copies of; return the run's id."""
    client = open_client(project)
    experiment = client.create_experiment(NAME, str(project / "mlruns" / "artifacts" / NAME))
    parent = client.create_run(experiment, tags={"stage": "pipeline"}).info.run_id
    for place in range(N_PARAMS):
        client.log_param(parent, f"block.parameter{place}", str(place))
    below = {"mlflow.parentRunId": parent}
    children = [client.create_run(experiment, tags={"stage": stage, **below}).info.run_id for stage in STAGES]
    client.create_registered_model(NAME)
    tags = {f"tag{place}": "x" * 60 for place in range(N_TAGS)} | {"data_digest": RARE, "data_path": f"data/{NAME}"}
    version = client.create_model_version(NAME, str(project / "mlruns" / "gone"), children[-1], tags=tags)
    with contextlib.closing(sqlite3.connect(project / DATABASE)) as connection, connection:
        for table in ("model_versions", "model_version_tags"):
            connection.execute(f"update {table} set version = 0 where version = ?", (version.version,))  # noqa: S608
    return str(parent)


def _copy(connection: sqlite3.Connection, parent: str, number: int) -> None:
    """Copy the version and its runs under another number."""
    own = f"{number:08x}"
    runs = "(select run_uuid from tags where key = 'mlflow.parentRunId' and value = :parent union select :parent)"
    values = {"parent": parent, "own": own, "number": number, "digest": RARE if number % 100 == 0 else COMMON}
    new_id = ":own || substr(run_uuid, 9)"
    for table, columns in _COLUMNS.items():
        kept = columns.removeprefix("run_uuid, ")
        connection.execute(
            f"insert into {table} (run_uuid, {kept}) select {new_id}, {kept} from {table} where run_uuid in {runs}",  # noqa: S608
            values,
        )
    connection.execute(
        "update tags set value = :own || substr(value, 9) where key = 'mlflow.parentRunId' and "
        "substr(run_uuid, 1, 8) = :own",
        values,
    )
    kept = "name, creation_time, current_stage, source, status, storage_location, workspace"
    connection.execute(
        f"insert into model_versions (version, run_id, {kept}) select :number, :own || substr(run_id, 9), {kept} "  # noqa: S608
        "from model_versions where version = 0",
        values,
    )
    connection.execute(
        "insert into model_version_tags (key, value, name, version) select key, "
        "case key when 'data_digest' then :digest else value end, name, :number "
        "from model_version_tags where version = 0",
        values,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 9)
