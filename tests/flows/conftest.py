"""Projects that flows ran in: `small`, by `rootstock` and `dvc` as processes; `staged`, by calling the flows, once."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CLASSES = ("ant", "bee", "cat")
SMALL = ("finetune.max_images_seen=60", "finetune.epochs=1")  # seconds of training instead of a minute
_OURS = ("PREFECT_", "MLFLOW_", "ROOTSTOCK_", "DVC_")


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Args:
        code: its exit status.
        out: what it printed.
        err: what it printed on standard error.
        cpu_s: processor seconds of it and of all its children, which a busy machine does not stretch.
    """

    code: int
    out: str
    err: str
    cpu_s: float

    @property
    def words(self) -> str:
        """Return what it printed without the line breaks that its table put in."""
        return " ".join(self.out.split())


@dataclass(frozen=True)
class Project:
    """A project with code and data, and the commands a user would type in it."""

    folder: Path

    def start(
        self, *arguments: str, module: str = "flows.cli", within: str = ".", **more: str
    ) -> "subprocess.Popen[str]":
        """Start a command in the project, with its own environment and `more` variables."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.folder), "PATH": path, **more}
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder / within,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rootstock(self, *arguments: str, within: str = ".", **more: str) -> Ending:
        before = os.times()
        process = self.start(*arguments, within=within, **more)
        out, err = process.communicate(timeout=600)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        return Ending(process.returncode, out, err, spent)

    def dvc(self, *arguments: str) -> str:
        out, err = self.start(*arguments, module="dvc").communicate(timeout=600)
        return out + err

    def commit(self) -> None:
        """Commit everything that is not ignored."""
        for arguments in (("add", "."), ("commit", "--quiet", "--allow-empty", "--message", "as it is")):
            subprocess.run(("git", *arguments), cwd=self.folder, check=True)

    def stopped_in(self, stage: str, number: signal.Signals, *arguments: str) -> Ending:
        """Run `rootstock run`, send it a signal while a stage is at work, and wait for its end."""
        process = self.start("run", *arguments)
        holder = self.folder / ".rootstock" / "stage.pid"
        while process.poll() is None and f"flows.{stage}" not in command_line(holder):
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        return Ending(process.returncode, out, err, 0.0)

    @property
    def quick(self) -> tuple[str, ...]:
        """Return the overrides by which it trains for seconds."""
        return SMALL

    @property
    def params(self) -> str:
        """Return the text of params.yaml."""
        return (self.folder / "params.yaml").read_text(encoding="utf-8")

    def edit(self, old: str, new: str) -> None:
        """Change params.yaml by hand."""
        text = self.params
        assert old in text
        (self.folder / "params.yaml").write_text(text.replace(old, new), encoding="utf-8")

    def rows(self, database: str, query: str) -> list[Any]:
        """Ask one of the project's databases."""
        with contextlib.closing(sqlite3.connect(self.folder / database)) as connection:
            return connection.execute(query).fetchall()

    def alias_version(self) -> int:
        """Return the version that the alias of the last registration names."""
        record = json.loads((self.folder / "artifacts/register/registration.json").read_text(encoding="utf-8"))
        found = self.rows("mlruns/mlflow.db", "select name, alias, version from registered_model_aliases")
        return {(name, alias): int(version) for name, alias, version in found}[record["name"], record["alias"]]

    def last_parent_status(self) -> str:
        """Return the MLflow status of the newest run of a whole pipeline."""
        parents = "select runs.status from runs join tags using (run_uuid) where tags.key = 'stage'"
        ((status,),) = self.rows(
            "mlruns/mlflow.db", f"{parents} and tags.value = 'pipeline' order by runs.start_time desc limit 1"
        )
        return str(status)

    def assert_refuses(self, words: str, *arguments: str, **more: str) -> None:
        """Check that `rootstock run` gives one sentence, the exit code 2 and changes nothing."""
        before = self.state()
        ending = self.rootstock("run", *arguments, **more)
        assert (ending.code, ending.out) == (2, ""), ending
        assert words in ending.err
        assert ending.err.count("\n") == 1
        assert self.state() == before

    def holder(self, pid_file: Path) -> str:
        """Return the command line of the process whose number is in a file; "" when there is none."""
        return command_line(pid_file)

    def state(self) -> dict[str, str]:
        """Return a digest of every file that a refused run has to leave as it was."""
        files = [self.folder / "params.yaml", self.folder / "dvc.lock", *self.folder.glob("data/*.dvc")]
        files += [path for path in (self.folder / "artifacts").rglob("*") if path.is_file()]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}

    def processes(self) -> list[str]:
        """Return the command lines of the processes that are at work in the project."""
        return [_words(place) for place in Path("/proc").glob("[0-9]*") if _is_in(place, self.folder)]


def draw_classes(folder: Path, n_per_class: int = 15, seed: int = 0, side_px: int = 24) -> None:
    """Write class folders of noisy pictures that a colour tells apart."""
    draw = np.random.default_rng(seed)
    for channel, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for index in range(n_per_class):
            picture = draw.integers(0, 90, (side_px, side_px, 3)).astype(np.uint8)
            picture[..., channel] += 120
            Image.fromarray(picture).save(folder / name / f"{index:03}.png")


def command_line(pid_file: Path) -> str:
    """Return the command line of the process whose number is in a file; "" when there is none."""
    try:
        return _words(Path("/proc") / pid_file.read_text(encoding="ascii"))
    except OSError:
        return ""


@pytest.fixture(scope="session")
def project_in() -> Callable[[Path], Project]:
    """Return what gives the commands of a project that lies in a folder."""
    return Project


@pytest.fixture(scope="session")
def draw() -> Callable[..., None]:
    """Return `draw_classes`."""
    return draw_classes


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, lay_out_with_code: Callable[[Path], None]) -> Project:
    """Make a project with three small classes in data/tiny, nothing run yet."""
    folder = tmp_path_factory.mktemp("small") / "project"
    lay_out_with_code(folder)
    draw_classes(folder / "data" / "tiny")
    return Project(folder)


@pytest.fixture(scope="module")
def first_run(small: Project) -> Ending:
    """Run the pipeline once, from a folder inside the project."""
    return small.rootstock("run", "data.path=tiny", *SMALL, within="data")


@pytest.fixture(scope="module")
def finished(small: Project, first_run: Ending) -> Project:
    """Return the project after its first run."""
    assert first_run.code == 0, first_run.err
    return small


def _words(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _is_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path, lay_out: Callable[[Path], None]) -> Path:
    """Call the flows from manifest to evaluate, without a server, on three small classes; return the project."""
    folder = tmp_path_factory.mktemp("staged") / "project"
    lay_out(folder)
    (folder / "mlruns").mkdir()
    shutil.copyfile(migrated_database, folder / "mlruns" / "mlflow.db")
    params = folder / "params.yaml"
    text = params.read_text(encoding="utf-8").replace("max_images_seen: 1500", "max_images_seen: 40")
    params.write_text(text, encoding="utf-8")
    draw_classes(folder / "data" / "digits", n_per_class=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _call_the_flows()
    return folder


@pytest.fixture
def in_staged(staged: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into the project of `staged`; tests leave it as they found it."""
    monkeypatch.chdir(staged)
    return staged


def _call_the_flows() -> None:
    from adapters.json_files import write_json
    from adapters.manifest_file import MANIFEST, QUARANTINE
    from flows.evaluate import evaluate
    from flows.explain import explain
    from flows.finetune import finetune
    from flows.manifest import manifest
    from flows.reference import reference
    from flows.select import select

    manifest.fn()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})  # what `validate` says of good images
    for flow in (select, finetune, reference, evaluate, explain):
        flow.fn()
