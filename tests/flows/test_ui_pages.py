"""The pages of Prefect and MLflow in a real browser: run tree, metrics, pictures and model are there to see."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters import servers
from tests.stages import ORDER

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1400,1100",
)
SMALLEST_PICTURE_BYTES = 20_000

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine; install the package chromium"),
]


@dataclass(frozen=True)
class Site:
    """A finished project whose servers run.

    Args:
        folder: the project.
        prefect: address of the Prefect server.
        mlflow: address of the MLflow server.
        pictures: where screenshots go: ROOTSTOCK_SCREENSHOTS, else a temporary folder.
    """

    folder: Path
    prefect: str
    mlflow: str
    pictures: Path

    def page(self, name: str, url: str) -> str:
        """Photograph a page and return its text as the browser rendered it."""
        common = [str(BROWSER), *QUIET, "--virtual-time-budget=30000"]
        for attempt in ("--dump-dom", f"--screenshot={self.pictures / name}.png"):
            profile = self.pictures / f".profile-{name}-{attempt[2:6]}"
            command = [*common, f"--user-data-dir={profile}", attempt, url]
            done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
            shutil.rmtree(profile, ignore_errors=True)
            if attempt == "--dump-dom":
                text = done.stdout
        assert (self.pictures / f"{name}.png").stat().st_size > SMALLEST_PICTURE_BYTES
        return text

    def query(self, sql: str) -> Any:
        """Return the first value of a query of the MLflow database."""
        connection = sqlite3.connect(f"file:{self.folder / 'mlruns' / 'mlflow.db'}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchone()[0]
        finally:
            connection.close()

    def last_pipeline_run(self) -> dict[str, Any]:
        """Return the newest pipeline run that Prefect knows."""
        wanted = {"flows": {"name": {"any_": ["pipeline"]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
        return self.first("flow_runs", {**wanted, "sort": "START_TIME_DESC"})

    def first(self, what: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """Return the first of what Prefect's API finds."""
        request = urllib.request.Request(  # noqa: S310  our own server on 127.0.0.1
            f"{self.prefect}/api/{what}/filter",
            data=json.dumps({**wanted, "limit": 1}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  as above
            found: list[dict[str, Any]] = json.load(answer)
        return found[0]


@pytest.fixture(scope="module")
def site(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the pipeline once, then start what `make ui` starts."""
    ran = small.rootstock("run", "data.path=data/tiny", "finetune.max_images_seen=60", "finetune.epochs=1")
    assert ran.code == 0, ran.err
    ports = servers.find_free_port(), servers.find_free_port()
    process = small.start("up", "--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1]))
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Ctrl-C"):
            break
    named = os.environ.get("ROOTSTOCK_SCREENSHOTS")
    pictures = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    pictures.mkdir(parents=True, exist_ok=True)
    try:
        yield Site(small.folder, f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", pictures)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_prefect_lists_the_runs_of_every_stage(site: Site) -> None:
    text = site.page("prefect-runs", f"{site.prefect}/runs")
    assert "pipeline" in text
    assert [stage for stage in ORDER if stage not in text] == []


def test_prefect_shows_the_stages_of_a_pipeline_run(site: Site) -> None:
    run = site.last_pipeline_run()
    text = site.page("prefect-pipeline", f"{site.prefect}/runs/flow-run/{run['id']}")
    assert run["name"] in text
    assert "Completed" in text


def test_mlflow_lists_the_pipeline_runs_with_their_accuracy(site: Site) -> None:
    experiment = site.query("select experiment_id from experiments where name = 'tiny'")
    text = site.page("mlflow-runs", f"{site.mlflow}/#/experiments/{experiment}/runs?workflowType=machine_learning")
    assert site.last_pipeline_run()["name"] in text


def test_mlflow_shows_metrics_and_pictures_of_the_evaluation(site: Site) -> None:
    experiment = site.query("select experiment_id from experiments where name = 'tiny'")
    run = site.query("select run_uuid from runs where name = 'evaluate' and lifecycle_stage = 'active'")
    place = f"{site.mlflow}/#/experiments/{experiment}/runs/{run}"
    text = site.page("mlflow-evaluate", place)
    assert "macro_f1" in text
    assert "accuracy_low" in text
    text = site.page("mlflow-picture", f"{place}/artifacts/evaluate/comparison.png")
    assert "comparison.png" in text
    assert "confusion.png" in text


def test_prefect_shows_the_summary_of_the_report(site: Site) -> None:
    artifact = site.first("artifacts", {"artifacts": {"key": {"any_": ["report"]}}})
    text = site.page("prefect-report", f"{site.prefect}/artifacts/artifact/{artifact['id']}")
    assert "Did the transfer help?" in text
    assert "tiny version 1" in text


def test_mlflow_keeps_the_report_and_the_version_its_card(site: Site) -> None:
    experiment = site.query("select experiment_id from experiments where name = 'tiny'")
    run = site.query("select run_uuid from runs where name = 'report' and lifecycle_stage = 'active'")
    place = f"{site.mlflow}/#/experiments/{experiment}/runs/{run}"
    text = site.page("mlflow-report", f"{place}/artifacts/report/index.html")
    assert "model_card.md" in text
    assert "Ethical considerations" in site.page("mlflow-version", f"{site.mlflow}/#/models/tiny/versions/1")


def test_mlflow_shows_the_champion(site: Site) -> None:
    text = site.page("mlflow-model", f"{site.mlflow}/#/models/tiny")
    assert "champion" in text
    assert "model_sha256" in text
