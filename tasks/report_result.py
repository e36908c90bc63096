"""What the report says of the result: figures, gains, confusions, classes, confidence, slices."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from adapters.report_charts import MOST_CLASSES, confusion, reliability, risk_curve
from adapters.report_rows import Span, interval_rows
from tasks.leak_words import leak_sentence
from tasks.report_records import Records
from tasks.report_words import (
    REFERENCES,
    column_named,
    in_points,
    interval,
    isolated,
    percent,
    points,
    readable,
    slice_named,
    three,
    with_range,
)

MOST_ROWS = 60  # of a table; what is left out is said and lies in a file
_MOST_PAIRS = 12
_MOST_NAMED = 5
_SMALL_MATRIX = 12  # classes up to which a matrix leaves room beside it
_MOST_SLICES = 20
_SETS = {"lac": "LAC: the smallest sets on average", "aps": "APS: larger where an image is hard"}


def tiles(records: Records) -> list[dict[str, str]]:
    """Return the key figures, each with its interval and what it means."""
    metrics, confidence = records.metrics, records.confidence
    shown = [
        _tile("Accuracy", interval(metrics, "accuracy"), "share of right answers"),
        _tile("Balanced accuracy", interval(metrics, "balanced_accuracy"), "mean over classes, rare ones count alike"),
        _tile("Macro F1", interval(metrics, "macro_f1"), "mean over classes of precision and recall together"),
        _tile(
            "Calibration error",
            interval(metrics, "ece"),
            f"how far confidence is off; a perfectly calibrated model stays below {metrics['ece_if_calibrated']:.3f}",
        ),
    ]
    count = {"what": "Test images", "value": f"{metrics['n_test']:,}", "range": f"{metrics['n_classes']} classes"}
    return [
        *shown,
        {**count, "means": f"{_seen(metrics)}; intervals hold the truth in {confidence} of such samples"},
    ]


def _seen(metrics: Mapping[str, Any]) -> str:
    n_leaked = metrics.get("n_test_with_copy_in_training", 0)
    return f"{n_leaked} of them with a copy in training" if n_leaked else "seen by no training"


def _tile(what: str, figure: tuple[float, float, float], means: str) -> dict[str, str]:
    value, low, high = figure
    return {"what": what, "value": f"{value:.3f}", "range": f"{low:.3f} to {high:.3f}", "means": means}


def warnings(records: Records) -> list[str]:
    """Return what a reader must not overlook."""
    verdict = records.verdict
    found = [records.mitigation] if records.mitigation else []
    found += [readable(text) for text in (*verdict.get("caveats", ()), *verdict.get("early_warnings", ()))]
    found += list(filter(None, (leak_sentence(records.metrics),)))
    if (records.registration.get("weights_licence") or "unknown") == "unknown":
        found.append("The licence of the pretrained weights is unknown: find out before you pass the model on.")
    report = records.validation
    if report["n_warnings"]:
        named = [check["says"] for check in report["checks"] if not check["passed"]]
        found.append(f"The data is not as expected everywhere. Expected was: {'; '.join(named)}.")
    metrics = records.metrics
    if metrics["ece_low"] > 0:
        found.append(
            f"The model's confidence is off by {metrics['ece']:.3f} on average, more than chance explains: do not read "
            f"it as a probability."
        )
    found += [_uncovered(name, one) for name, one in records.calibration["sets"].items() if _is_off(one)]
    surely = records.slices["surely_worse"]
    if surely:
        parts = ", ".join(map(slice_named, surely[:_MOST_NAMED]))
        found.append(f"The model does surely worse on parts of the test images ({len(surely)}): {parts}.")
    return found


def _is_off(sets: Mapping[str, Any]) -> bool:
    """Say whether sets hold the right class less often than chance explains; more often, they are merely large."""
    low, _ = sets["coverage_by_chance"]
    return bool(sets["coverage"]["value"] < low)


def _uncovered(name: str, sets: Mapping[str, Any]) -> str:
    low, high = sets["coverage_by_chance"]
    return (
        f"Sets of classes ({name.upper()}) hold the right one in {percent(sets['coverage']['value'])} of the test "
        f"images; {percent(low)} to {percent(high)} is what chance explains. Do not rely on them."
    )


def gains(records: Records) -> dict[str, Any]:
    """Return the gain over every reference, as a picture and as rows of a table."""
    comparisons, margin = records.verdict["comparisons"], records.verdict.get("margin", 0.0)
    spans, rows = [], []
    for key, one in comparisons.items():
        name, what = REFERENCES.get(key, (key.replace("_", " "), ""))
        kind = {True: "good", False: "bad", None: "other"}[one["better"]]
        told = {True: "surely better", False: "surely worse", None: "not told apart"}[one["better"]]
        spans.append(Span(f"over the {name}", *three(one["gain"], 100), in_points(*three(one["gain"])), kind, what))
        rows.append(
            {
                "name": name, "accuracy": with_range(*three(one["accuracy"])),
                "gain": in_points(*three(one["gain"])), "told": told, "kind": kind,
                "p": f"{one['p_adjusted']:.2g}",
            }
        )  # fmt: skip
    drawn = interval_rows(spans, "percentage points of test accuracy gained", zero=True, band=100 * margin)
    return {
        "picture": drawn,
        "rows": rows,
        "margin": points(margin),
        "parts": [readable(text) for text in records.verdict.get("parts", {}).values()],
    }


def answers(records: Records) -> dict[str, Any]:
    """Return the confusion matrix, the most frequent mistakes and the table of classes."""
    names = [row["class"] for row in records.classes]
    place = {name: index for index, name in enumerate(names)}
    counts = Counter((place[row["actual"]], place[row["predicted"]]) for row in records.predictions)
    matrix = None
    if len(names) <= MOST_CLASSES:
        table = [[counts[row, column] for column in range(len(names))] for row in range(len(names))]
        matrix = confusion(table, names, "Test images by actual and predicted class")
    wrong = [(pair, count) for pair, count in counts.most_common() if pair[0] != pair[1]]
    pairs = [
        {"actual": names[row], "predicted": names[column], "n": count, "of": int(records.classes[row]["support"])}
        for (row, column), count in wrong[:_MOST_PAIRS]
    ]
    ordered = sorted(records.classes, key=lambda row: (float(row["recall"]), -int(row["support"])))
    shown = ordered[:MOST_ROWS] if len(ordered) > MOST_ROWS else list(records.classes)
    return {
        "matrix": matrix, "is_small": len(names) <= _SMALL_MATRIX, "most_classes": MOST_CLASSES, "pairs": pairs,
        "n_wrong": sum(count for _, count in wrong),
        "n_pairs_left_out": max(0, len(wrong) - _MOST_PAIRS), "classes": [_class(row) for row in shown],
        "n_left_out": len(ordered) - len(shown), "n_test": records.metrics["n_test"],
    }  # fmt: skip


def _class(row: Mapping[str, str]) -> dict[str, Any]:
    figures = {name: with_range(*interval(row, name), 2) for name in ("recall", "f1", "auroc")}
    precision = "never predicted" if row["precision"] == "" else f"{float(row['precision']):.2f}"
    return {"name": row["class"], "n": int(row["support"]), "precision": precision, **figures}


def sureness(records: Records) -> dict[str, Any]:
    """Return both curves of confidence, what temperature did, and the sets of classes."""
    calibration, metrics = records.calibration, records.metrics
    temperature = calibration["temperature"]
    return {
        "reliability": reliability(calibration["reliability"], "Right answers by confidence"),
        "risk": risk_curve(calibration["risk_coverage"], "Mistakes among the surest answers"),
        "verdict": _calibrated(metrics),
        "before": temperature["ece_untempered"],
        "after": temperature["ece_as_it_is"],
        "sets": [
            {
                "name": _SETS.get(name, name), "asked": percent(one["asked"]), "off": _is_off(one),
                "coverage": " to ".join(percent(one["coverage"][bound]) for bound in ("low", "high")),
                "value": percent(one["coverage"]["value"]),
                "chance": " to ".join(percent(bound) for bound in one["coverage_by_chance"]),
                "size": f"{one['mean_size']:.2f}", "empty": percent(one["empty"]),
                "worst": f"{one['least_covered_class']['class']}: {percent(one['least_covered_class']['coverage'])}",
            }
            for name, one in calibration["sets"].items()
        ],
        "how": calibration["validation"]["how"],
        "n_validation": calibration["validation"]["n_rows"],
    }  # fmt: skip


def _calibrated(metrics: Mapping[str, Any]) -> str:
    error, limit = metrics["ece"], metrics["ece_if_calibrated"]
    if metrics["ece_low"] > 0 or error > limit:
        return (
            f"Confidence is off by {error:.3f} on average; a calibrated model would stay below {limit:.3f}. Do not "
            f"read it as a probability."
        )
    return (
        f"Confidence may be read as a probability: it is off by {error:.3f} on average, and chance alone makes a "
        f"calibrated model seem off by up to {limit:.3f}."
    )


def slices(records: Records) -> dict[str, Any]:
    """Return how the model does on parts of the test images, the worst first."""
    record, accuracy = records.slices, records.metrics["accuracy"]
    enough = [one for one in record["slices"] if one["n_rows"] >= record["fewest_images"]]
    ordered = sorted(enough, key=lambda one: (not one["worse"], one["accuracy"]["value"], -one["n_rows"]))
    shown = ordered[:_MOST_SLICES]
    spans = [
        Span(
            f"{column_named(one['column'])} {one['part']}",
            *three(one["accuracy"], 100),
            f"{percent(one['accuracy']['value'])} of {one['n_rows']}",
            "bad" if one["worse"] else "other",
        )
        for one in shown
    ]
    drawn = interval_rows(spans, "accuracy, %", limits=(0.0, 100.0)) if spans else None
    return {
        "picture": drawn, "worst": _worst(record["worst"], accuracy),
        "surely": [slice_named(name) for name in record["surely_worse"][:MOST_ROWS]],
        "n_small": len(record["slices"]) - len(enough), "fewest": record["fewest_images"],
        "n_left_out": len(ordered) - len(shown),
    }  # fmt: skip


def _worst(worst: Mapping[str, Any] | None, accuracy: float) -> str:
    if worst is None:
        return "No slice has enough images to say anything of it."
    value, low, high = three(worst["accuracy"])
    name = f"{column_named(worst['column'])} {isolated(worst['part'])}"
    return (
        f"Lowest is {name}: {percent(value)} of {worst['n_rows']} images right ({percent(low)} to {percent(high)} with "
        f"an interval wide enough for the lowest of all slices), beside {percent(accuracy)} of all."
    )
