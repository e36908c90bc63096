"""The flow `report` on its plain path, without a server, after all the others."""

from pathlib import Path

from adapters.json_files import read_json
from adapters.mlflow_store import open_client
from flows.explain import explain
from flows.register import register
from flows.report import report
from flows.validate import validate


def test_the_flow_writes_the_page_and_gives_the_version_its_card(in_staged: Path) -> None:
    validate.fn()
    explain.fn()
    register.fn()
    report.fn()
    names = sorted(path.name for path in (in_staged / "artifacts/report").iterdir())
    assert names == ["index.html", "model_card.md", "summary.md"]
    version = read_json(Path("artifacts/register/registration.json"))["model_version"]
    described = open_client().get_model_version("digits", version)
    assert described.description.startswith("# Model card: digits version")
    runs = open_client().search_runs(
        [one.experiment_id for one in open_client().search_experiments()], "tags.stage = 'report'"
    )
    assert len(runs) == 1
    assert {"accuracy", "ece", "n_test"} <= runs[0].data.metrics.keys()
    kept = {one.path for one in open_client().list_artifacts(runs[0].info.run_id, "report")}
    assert kept == {"report/index.html", "report/model_card.md", "report/summary.md"}
