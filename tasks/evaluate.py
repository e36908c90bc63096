"""The stage `evaluate`: the test rows, opened here and nowhere else; nothing is trained."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import atomic_write, read_json, read_plain_json, write_json, write_plain_json
from adapters.manifest_file import MANIFEST, QUARANTINE, Manifest, read_manifest
from tasks.examples import prepared
from tasks.handoffs import COMPARISON, CONFUSION, METRICS, MODEL, RANDOM_FROZEN, SCRATCH, VERDICT
from tasks.params import read_params
from tasks.progress import progress
from tasks.step import step
from transfer.errors import UserError
from transfer.records import Interval, Preprocess, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transfer.data.examples import Examples
    from transfer.evaluation.comparison import Comparison, Verdict

PREDICTIONS, PER_CLASS = METRICS.with_name("predictions.csv"), METRICS.with_name("per_class.csv")
MODELS = {"transfer": MODEL, "scratch": SCRATCH, "random_frozen": RANDOM_FROZEN}
_DIGITS = 6


@step
def measure() -> None:
    """Predict every test row with every model; write metrics, predictions, per-class figures and the verdict.

    Raises:
        UserError: there are no test rows, or a model was trained on other classes.
    """
    import numpy as np

    from adapters.json_files import sha256_of
    from transfer.evaluation.comparison import compare, judge

    params, manifest = read_params(), read_manifest()
    rows = manifest.of_split("test")
    if not rows:
        raise UserError(f"{params.data.path} has no test images; raise manifest.test_fraction or add a test/ folder.")
    probabilities = _predict(params.data.path, manifest, rows)
    actual = np.array([row.label for row in rows], dtype=np.int64)
    predicted = {name: values.argmax(axis=1) for name, values in probabilities.items()}
    confidence = params.evaluate.confidence
    comparisons = {
        name: compare(actual, predicted["transfer"], name, predicted[name], confidence)
        for name in MODELS
        if name != "transfer"
    }
    figures = _metrics(actual, probabilities["transfer"], comparisons, confidence)
    write_plain_json(METRICS, dict(sorted({**figures, **_balanced(actual, predicted, confidence)}.items())))
    _write_predictions(rows, manifest.classes, predicted["transfer"], probabilities["transfer"])
    _write_per_class(actual, predicted["transfer"], manifest.classes, confidence)
    made_from = {"manifest": MANIFEST, "quarantine": QUARANTINE}
    made_from |= {name: folder / "model.safetensors" for name, folder in MODELS.items()}
    verdict = _plain(judge(comparisons, confidence, pretrained=_is_pretrained(MODELS["transfer"])), comparisons)
    write_json(VERDICT, {"model_sha256": sha256_of(made_from["transfer"]), **verdict}, made_from)
    print(verdict["sentence"])


@step
def draw() -> None:
    """Draw the confusion matrix and the comparison."""
    from adapters.pictures import draw_comparison, draw_confusion
    from transfer.evaluation.comparison import CAVEAT
    from transfer.metrics.classification import confusion_matrix

    manifest, metrics = read_manifest(), read_plain_json(METRICS)
    actual, predicted = _read_predictions(manifest.classes)
    draw_confusion(CONFUSION, confusion_matrix(actual, predicted, len(manifest.classes)), manifest.classes)
    shown = {"transfer": "", "scratch": "scratch_", "random_frozen": "random_frozen_"}
    accuracies = {name.replace("_", " "): _interval(metrics, f"{prefix}accuracy") for name, prefix in shown.items()}
    draw_comparison(COMPARISON, accuracies, CAVEAT, read_params().evaluate.confidence)


@step
def record() -> None:
    """Record the stage as an MLflow run."""
    from adapters.mlflow_runs import stage_run

    metrics, verdict = read_plain_json(METRICS), read_json(VERDICT)
    figures = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    with stage_run("evaluate") as run:
        run.params({"evaluate.confidence": read_params().evaluate.confidence})
        run.metrics(figures)
        run.tags({"verdict": verdict["sentence"], "model_sha256": verdict["model_sha256"]})
        for path in (CONFUSION, COMPARISON, PER_CLASS, PREDICTIONS, METRICS, VERDICT):
            run.artifact(path, "evaluate")


def _predict(data_path: str, manifest: Manifest, rows: Sequence[Row]) -> "dict[str, NDArray[np.float64]]":
    from adapters.model_files import load_model
    from transfer.finetuning.measuring import predict_logits

    loaded: dict[Preprocess, Examples] = {}
    probabilities = {}
    for name, folder in MODELS.items():
        classifier, card = load_model(folder)
        if card.classes != manifest.classes:
            raise UserError(
                f"{folder} was trained on the classes {', '.join(card.classes)}, the data set has "
                f"{', '.join(manifest.classes)}; run `dvc repro` again."
            )
        if card.preprocess not in loaded:
            loaded[card.preprocess] = prepared(data_path, rows, card.preprocess, "decoding test images")
        with progress(f"testing {name}", total=len(rows)) as bar:
            logits = predict_logits(classifier, loaded[card.preprocess].inputs, bar.advance)
        probabilities[name] = logits.double().softmax(dim=1).numpy()
    return probabilities


def _is_pretrained(model: Path) -> bool:
    from adapters.model_files import load_card
    from transfer.backbones.reference import BackboneReference

    card, _ = load_card(model)
    return not BackboneReference.parse(card.reference).is_random


def _metrics(
    actual: "NDArray[np.int64]",
    probabilities: "NDArray[np.float64]",
    comparisons: "Mapping[str, Comparison]",
    confidence: float,
) -> dict[str, Any]:
    from transfer.evaluation.comparison import CAVEAT, accuracy_interval
    from transfer.metrics import classification as metrics

    predicted = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(actual, predicted, probabilities.shape[1])
    figures: dict[str, float] = {
        **_named("accuracy", accuracy_interval(actual, predicted, confidence)),
        "macro_f1": metrics.macro_f1(confusion),
        "nll": metrics.negative_log_likelihood(actual, probabilities),
        "ece": metrics.expected_calibration_error(actual, probabilities),
    }
    for name, comparison in comparisons.items():
        figures |= _named(f"{name}_accuracy", comparison.accuracy) | _named(f"{name}_gain", comparison.gain)
        figures[f"{name}_mcnemar_p"] = comparison.p_value
    rounded = {key: round(value, _DIGITS) for key, value in figures.items()}
    counts = {"n_test": len(actual), "n_classes": probabilities.shape[1]}
    return dict(sorted({**counts, **rounded, "references": CAVEAT}.items()))


def _balanced(
    actual: "NDArray[np.int64]", predicted: "Mapping[str, NDArray[np.int64]]", confidence: float
) -> dict[str, float]:
    """Return figures in which each class counts the same, of every model."""
    from transfer.evaluation.comparison import balanced_accuracy, balanced_gain

    model = predicted["transfer"]
    figures = _named("balanced_accuracy", balanced_accuracy(actual, model, confidence))
    for name in (name for name in predicted if name != "transfer"):
        figures |= _named(f"{name}_balanced_accuracy", balanced_accuracy(actual, predicted[name], confidence))
        figures |= _named(f"{name}_balanced_gain", balanced_gain(actual, model, predicted[name], confidence))
    return {key: round(value, _DIGITS) for key, value in figures.items()}


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _interval(metrics: Mapping[str, float], name: str) -> Interval:
    return Interval(metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"])


def _plain(verdict: "Verdict", comparisons: "Mapping[str, Comparison]") -> dict[str, Any]:
    return {**asdict(verdict), "comparisons": {name: asdict(one) for name, one in comparisons.items()}}


def _write_predictions(
    rows: Sequence[Row],
    classes: Sequence[str],
    predicted: "NDArray[np.int64]",
    probabilities: "NDArray[np.float64]",
) -> None:
    lines: list[Sequence[object]] = [("path", "actual", "predicted", "confidence")]
    for row, choice, values in zip(rows, predicted, probabilities, strict=True):
        lines.append((row.path, classes[row.label], classes[choice], f"{values[choice]:.6f}"))
    _write_csv(PREDICTIONS, lines)


def _read_predictions(classes: Sequence[str]) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    import numpy as np

    index = {name: place for place, name in enumerate(classes)}
    with PREDICTIONS.open(newline="", encoding="utf-8") as stream:
        rows = [(index[row["actual"]], index[row["predicted"]]) for row in csv.DictReader(stream)]
    table = np.array(rows, dtype=np.int64)
    return table[:, 0], table[:, 1]


def _write_per_class(
    actual: "NDArray[np.int64]", predicted: "NDArray[np.int64]", classes: Sequence[str], confidence: float
) -> None:
    from transfer.metrics.classification import class_metrics, confusion_matrix
    from transfer.metrics.intervals import wilson_interval

    lines: list[Sequence[object]] = [("class", "support", "precision", "recall", "recall_low", "recall_high", "f1")]
    for name, one in zip(classes, class_metrics(confusion_matrix(actual, predicted, len(classes))), strict=True):
        recall = wilson_interval(one.n_found, one.support, confidence)
        precision = "" if one.precision is None else f"{one.precision:.4f}"
        interval = (f"{value:.4f}" for value in (recall.value, recall.low, recall.high))
        lines.append((name, one.support, precision, *interval, f"{one.f1:.4f}"))
    _write_csv(PER_CLASS, lines)


def _write_csv(path: Path, lines: Sequence[Sequence[object]]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)
