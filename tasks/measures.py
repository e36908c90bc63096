"""The figures of the test rows: of the model, of every reference, and of each class."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.tested import MODEL_NAME, Tested, named, rounded
from transfer.records import Interval

if TYPE_CHECKING:
    from transfer.evaluation.comparison import Comparison
    from transfer.evaluation.figures import Figures

_OF_ALL = ("macro_f1", "auroc", "nll", "brier", "ece", "aurc")


def compared(rows: Tested) -> "dict[str, Comparison]":
    """Return how the model compares with every reference; their claims hold together."""
    from transfer.evaluation.comparison import compare, together

    confidence = rows.settings.confidence
    found = {
        name: compare(rows.actual, rows.predicted(), name, rows.predicted(name), confidence, rows.groups)
        for name in rows.references
    }
    return together(found, confidence)


def figures_of(rows: Tested) -> "Figures":
    """Return the figures of the model.

    Raises:
        UserError: a class has no test row.
    """
    from transfer.evaluation.figures import figures

    settings = rows.settings
    return figures(
        rows.actual,
        rows.probabilities,
        settings.confidence,
        rows.resamples,
        settings.seed,
        grouped=rows.groups is not None,
    )


def metrics_of(rows: Tested, found: "Figures", comparisons: "Mapping[str, Comparison]") -> dict[str, Any]:
    """Return figures under the names they have in metrics.json."""
    from transfer.evaluation.comparison import CAVEAT, accuracy_interval, balanced_accuracy, balanced_gain

    actual, confidence = rows.actual, rows.settings.confidence
    accuracy = accuracy_interval(actual, rows.predicted(), confidence, rows.groups)
    metrics: dict[str, Any] = named("accuracy", accuracy)
    for name in _OF_ALL:
        metrics |= named(name, getattr(found, name))
    metrics["ece_if_calibrated"] = rounded(found.ece_if_calibrated)
    metrics |= named("balanced_accuracy", balanced_accuracy(actual, rows.predicted(), confidence, rows.resamples))
    for name, one in comparisons.items():
        metrics |= named(f"{name}_accuracy", one.accuracy) | named(f"{name}_gain", one.gain)
        metrics |= {f"{name}_mcnemar_p": float(f"{one.p_value:.6g}"), f"{name}_holm_p": float(f"{one.p_adjusted:.6g}")}
        by_it = rows.predicted(name)
        balanced = balanced_accuracy(actual, by_it, confidence, rows.resamples)
        gain = balanced_gain(actual, rows.predicted(), by_it, confidence, rows.resamples)
        metrics |= named(f"{name}_balanced_accuracy", balanced) | named(f"{name}_balanced_gain", gain)
    return metrics | {"n_test": len(actual), "n_classes": len(rows.classes), "references": CAVEAT}


def class_lines(rows: Tested, found: "Figures") -> list[Sequence[object]]:
    """Return the table of the classes, its heading first."""
    from transfer.metrics.classification import class_metrics, confusion_matrix
    from transfer.metrics.intervals import wilson_interval

    confusion = confusion_matrix(rows.actual, rows.predicted(), len(rows.classes))
    heading = ("class", "support", "precision", *_three("recall"), *_three("f1"), *_three("auroc"))
    lines: list[Sequence[object]] = [heading]
    for name, one, more in zip(rows.classes, class_metrics(confusion), found.of_classes, strict=True):
        recall = wilson_interval(one.n_found, one.support, rows.settings.confidence)
        precision = "" if one.precision is None else f"{one.precision:.4f}"
        lines.append((name, one.support, precision, *_shown(recall), *_shown(more.f1), *_shown(more.auroc)))
    return lines


def prediction_lines(rows: Tested, sets: Mapping[str, Sequence[Sequence[int]]]) -> list[Sequence[object]]:
    """Return the table of the test rows, its heading first: the answer of every model, and sets of classes.

    Args:
        rows: what was tested.
        sets: method -> the classes that the set of each row holds.
    """
    heading = ("path", "actual", "predicted", "confidence", *rows.references, *(f"set_{name}" for name in sets))
    lines: list[Sequence[object]] = [heading]
    answers = {name: rows.predicted(name) for name in (MODEL_NAME, *rows.references)}
    for place, row in enumerate(rows.rows):
        own = answers[MODEL_NAME][place]
        others = [rows.classes[answers[name][place]] for name in rows.references]
        held = [" | ".join(rows.classes[label] for label in of_rows[place]) for of_rows in sets.values()]
        confidence = f"{rows.probabilities[place, own]:.6f}"
        lines.append((row.path, rows.classes[row.label], rows.classes[own], confidence, *others, *held))
    return lines


def _three(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _shown(interval: Interval) -> tuple[str, ...]:
    return tuple(f"{value:.4f}" for value in (interval.value, interval.low, interval.high))
