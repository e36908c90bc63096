"""The stage `evaluate`: the test rows, opened here and nowhere else; nothing is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_json, read_plain_json, write_plain_json
from adapters.manifest_file import read_manifest
from adapters.sealed_labels import HEAD_TAG, head
from adapters.tables import read_table, write_table
from tasks.calibration import calibrate
from tasks.handoffs import (
    CALIBRATION,
    CHAMPION,
    COMPARISON,
    CONFUSION,
    GAINS,
    LOOKS,
    METRICS,
    PER_CLASS,
    PREDICTIONS,
    RELIABILITY,
    RISK,
    SLICES,
    SLICES_PICTURE,
    VERDICT,
)
from tasks.judging import write_verdict
from tasks.leak_words import leak_sentence
from tasks.leaks import leak_metrics, with_leaks
from tasks.looks import write_looks
from tasks.measures import class_lines, compared, figures_of, metrics_of, prediction_lines
from tasks.params import read_params
from tasks.slicing import slices_of, write_slices
from tasks.step import step
from tasks.tested import MODEL_NAME, interval_named, tested

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PICTURES = (CONFUSION, COMPARISON, RELIABILITY, RISK, SLICES_PICTURE, GAINS)
_RECORDS = (PER_CLASS, PREDICTIONS, METRICS, CALIBRATION, SLICES, VERDICT, LOOKS, CHAMPION)


@step
def measure() -> None:
    """Predict every test row with every model; write metrics, predictions, calibration, slices and the verdict.

    Raises:
        UserError: there are no test rows, a class has none, or a model was trained on other classes.
    """
    manifest = read_manifest()
    rows = with_leaks(tested(read_params(), manifest, manifest.of_split("test")), manifest)
    found, comparisons = figures_of(rows), compared(rows)
    (sureness, sets), slices = calibrate(rows), slices_of(rows)
    metrics = metrics_of(rows, found, comparisons) | sureness | write_slices(rows, slices) | leak_metrics(rows)
    write_plain_json(METRICS, dict(sorted(metrics.items())))
    write_table(PREDICTIONS, prediction_lines(rows, sets))
    write_table(PER_CLASS, class_lines(rows, found))
    print(" ".join(filter(None, (write_verdict(rows, comparisons), leak_sentence(metrics), write_looks(rows, slices)))))


@step
def draw() -> None:
    """Draw the confusion matrix, the comparisons, reliability, risk and slices."""
    from adapters.evaluation_pictures import draw_gains, draw_reliability, draw_risk, draw_slices
    from adapters.pictures import draw_comparison, draw_confusion
    from transfer.evaluation.comparison import CAVEAT
    from transfer.metrics.classification import confusion_matrix

    manifest, metrics, confidence = read_manifest(), read_plain_json(METRICS), read_params().evaluate.confidence
    actual, predicted = _read_predictions(manifest.classes)
    draw_confusion(CONFUSION, confusion_matrix(actual, predicted, len(manifest.classes)), manifest.classes)
    calibration, verdict = read_json(CALIBRATION), read_json(VERDICT)
    names = [MODEL_NAME, *verdict["comparisons"]]
    prefixes = {name: "" if name == MODEL_NAME else f"{name}_" for name in names}
    accuracies = {name.replace("_", " "): interval_named(metrics, f"{prefixes[name]}accuracy") for name in names}
    draw_comparison(COMPARISON, accuracies, CAVEAT, confidence)
    draw_gains(GAINS, verdict)
    draw_reliability(RELIABILITY, calibration["reliability"], metrics, confidence)
    draw_risk(RISK, calibration["risk_coverage"], metrics, confidence)
    draw_slices(SLICES_PICTURE, read_json(SLICES), metrics["accuracy"], confidence)


@step
def record() -> None:
    """Record the stage as an MLflow run."""
    from adapters.mlflow_runs import stage_run

    metrics, verdict, looks = read_plain_json(METRICS), read_json(VERDICT), read_json(LOOKS)
    figures = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    with stage_run("evaluate") as run:
        run.params({f"evaluate.{key}": value for key, value in read_params().evaluate.model_dump().items()})
        run.metrics(figures | _of_looks(looks))
        run.tags({"verdict": verdict["sentence"], "verdict.word": verdict["verdict"]})
        run.tags({"model_sha256": verdict["model_sha256"], "worst_slice": metrics.get("worst_slice", "")})
        run.tags({HEAD_TAG: head(Path.cwd())})
        run.tags({"early_warnings": " ".join(verdict["early_warnings"])})
        for path in (*_PICTURES, *_RECORDS):
            run.artifact(path, "evaluate")


def _of_looks(looks: Mapping[str, Any]) -> dict[str, float]:
    """Return how many models the test images were asked about, and the accuracy as it holds for all of them."""
    bounds = {f"accuracy_after_looks_{bound}": looks["accuracy"][bound] for bound in ("low", "high")}
    return {"n_models_tested": looks["n_models"], **bounds}


def _read_predictions(classes: Sequence[str]) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    import numpy as np

    index = {name: place for place, name in enumerate(classes)}
    rows = [(index[row["actual"]], index[row["predicted"]]) for row in read_table(PREDICTIONS)]
    table = np.array(rows, dtype=np.int64)
    return table[:, 0], table[:, 1]
