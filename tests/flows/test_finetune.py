"""The flow `finetune` on its plain path, without a server: files and an MLflow run."""

from pathlib import Path

from adapters.mlflow_store import open_client
from flows.finetune import finetune
from tasks.finetune import HISTORY, over_all_images, read_history


def test_the_flow_writes_its_files_and_records_its_run(ranked_project: Path) -> None:
    finetune.fn()
    assert sorted(path.name for path in Path("artifacts/finetune").iterdir()) == [
        "history.json",
        "learning_curve.png",
        "model",
    ]
    client = open_client()
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()], "tags.stage = 'finetune'")
    points = client.get_metric_history(run.info.run_id, "val_nll")
    epochs = over_all_images(read_history(HISTORY)[0])
    assert [(point.step, point.value) for point in points] == [(place, epoch.val_nll) for place, epoch in epochs]
    assert run.data.params["backbone"] == "rootstock/strokes"
    assert run.info.status == "FINISHED"
