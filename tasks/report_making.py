"""What the report says of how the model was made: data, choice of the backbone, training, cost."""

from collections.abc import Mapping
from typing import Any

from adapters.pictures import labels_of
from adapters.report_charts import Step, learning_curve, tradeoff
from adapters.report_rows import Span, bars, interval_rows
from tasks.report_records import Records
from tasks.report_words import duration, three, with_range

_MOST_CLASSES = 24
_MOST_FILES = 20
_SPLITS = {"train": ("a", "training"), "val": ("b", "validation"), "test": ("c", "test")}
_STEPS = {
    "probe": "a linear head on the pretrained network",
    "norms": "statistics of its norm layers, taken anew from the training images",
    "refit": "the head once more, with the validation images",
    "last": "the deepest group of layers and the head",
    "all": "every layer",
}


def data(records: Records) -> dict[str, Any]:
    """Return what validation found, and how many images each class and split has."""
    report = records.validation
    counts, classes = report["counts"], report["classes"]
    shown = list(classes)
    if len(classes) > _MOST_CLASSES:
        by_size = sorted(classes, key=lambda row: row["n_images"])
        half = _MOST_CLASSES // 2
        shown = [*by_size[-half:][::-1], *by_size[:half][::-1]]
    rows = [
        (
            row["class_name"],
            [(row[f"n_{split}"], _SPLITS[split][0]) for split in report["splits"]],
            f"{row['n_images']:,}",
        )
        for row in shown
    ]
    largest = max((row["n_images"] for row in classes), default=0) or 1
    kinds = {_SPLITS[split][0]: f"{_SPLITS[split][1]}, {counts[f'n_{split}']:,}" for split in report["splits"]}
    failed = [check for check in report["checks"] if not check["passed"]]
    return {
        "path": report["data_path"], "summary": report["summary"], "counts": counts, "failed": failed,
        "n_checks": len(report["checks"]), "picture": bars(rows, largest, kinds),
        "n_left_out": len(classes) - len(shown), "quarantined": report["quarantined"][:_MOST_FILES],
        "n_quarantined": len(report["quarantined"]), "given": report["given_splits"],
    }  # fmt: skip


def choice(records: Records) -> dict[str, Any]:
    """Return the candidates with expected accuracy and cost, best first, and those that were not scored."""
    ranking, costs = records.ranking, records.observed.get("select", {}).get("costs", {})
    candidates = [*ranking["candidates"], ranking["pixel_baseline"]]
    labels = labels_of([one["reference"] for one in candidates])
    spans = [
        Span(
            label,
            *three(one["accuracy"], 100),
            f"{with_range(*three(one['accuracy'], 100), 1)} %",
            "own" if one["reference"] == ranking["winner"] else "idle" if one is candidates[-1] else "other",
            "no network at all, for comparison" if one is candidates[-1] else "",
        )
        for one, label in zip(candidates, labels, strict=True)
    ]
    rows = [
        _candidate(one, label, costs.get(one["reference"]), one["reference"] == ranking["winner"])
        for one, label in zip(candidates[:-1], labels, strict=False)
    ]
    points = [
        (label, costs[one["reference"]]["latency_ms"], *three(one["accuracy"]), one["reference"] == ranking["winner"])
        for one, label in zip(candidates[:-1], labels, strict=False)
        if one["reference"] in costs
    ]
    return {
        "why": ranking["why"], "rows": rows, "failed": ranking["failed"],
        "picture": interval_rows(spans, "expected accuracy after fine-tuning, %", limits=(0.0, 100.0)),
        "tradeoff": tradeoff(points, "Expected accuracy by time an image") if len(points) > 1 else None,
        "n_rows": ranking["candidates"][0]["n_rows"], "remembered": _remembered(ranking["n_remembered_runs"]),
    }  # fmt: skip


def _remembered(n_runs: int) -> str:
    return f" and {n_runs} earlier run{'' if n_runs == 1 else 's'} on other images" if n_runs else ""


def _candidate(one: Mapping[str, Any], label: str, cost: Mapping[str, float] | None, won: bool) -> dict[str, Any]:
    figures = {"latency": "latency_ms", "size": "size_mb", "training": "training_s"}
    shown = {name: f"{cost[key]:.3g}" if cost else "not measured" for name, key in figures.items()}
    return {
        "name": label, "won": won, "level": one["level"], "best": f"{100 * one['probability_best']:.0f} %",
        "licence": one["licence"] or "unknown", "beyond": one["beyond"], **shown,
    }  # fmt: skip


def training(records: Records) -> dict[str, Any]:
    """Return the learning curves, how each step ended, and what was decided before."""
    history, plan = records.history, records.plan
    own = _steps(history["epochs"], {one["name"]: one["kept"] for one in history["steps"]})
    from_scratch = _steps([one for one in records.reference["epochs"] if one["step_name"] == "scratch"], {})
    balance = plan.get("balance") or (history["balance"] or [None])[-1]
    return {
        "picture": learning_curve(own, "Validation loss while fine-tuning") if own else None,
        "scratch": learning_curve(from_scratch, "Validation loss of the reference from scratch")
        if from_scratch
        else None,
        "steps": [_outcome(one) for one in history["steps"]],
        "plan": [_planned(one) for one in plan["steps"]],
        "balance": balance["why"] if balance else "",
        "strategy": history["strategy"],
        "trained_on": history["trained_on"],
        "note": records.reference["note"],
        "rescues": len(history["rescues"]),
    }


def _steps(epochs: list[dict[str, Any]], kept: Mapping[str, bool]) -> list[Step]:
    """Put the epochs of each step on one axis of images seen."""
    steps: list[Step] = []
    for name in dict.fromkeys(one["step_name"] for one in epochs):
        start = steps[-1].end if steps else 0.0
        points = [(start + one["images_seen"], one["val_nll"]) for one in epochs if one["step_name"] == name]
        steps.append(Step(name, kept.get(name, True), points, start, points[-1][0]))
    return steps


def _outcome(one: Mapping[str, Any]) -> dict[str, Any]:
    before = "" if one["val_nll_before"] is None else f"{one['val_nll_before']:.4f}"
    kept = one["kept"]
    ending = (
        "kept"
        if kept and one["blend"] in (1.0, None)
        else f"kept, {one['blend']:.0%} of its change"
        if kept
        else "rolled back"
    )
    noise = "" if one["val_nll_noise"] is None else f"{one['val_nll_noise']:.4f}"
    return {
        "name": one["name"], "what": _STEPS.get(one["name"], ", ".join(one["trained_groups"])), "kept": kept,
        "ending": ending, "before": before, "after": f"{one['val_nll_after']:.4f}", "noise": noise,
        "accuracy": f"{one['val_accuracy']:.3f}", "seen": f"{one['images_seen']:,}",
    }  # fmt: skip


def _planned(plan: Mapping[str, Any]) -> dict[str, Any]:
    n_trained = sum(group["n_trained"] for group in plan["groups"])
    n_all = sum(group["n_parameters"] for group in plan["groups"])
    return {
        "name": plan["step"]["name"], "share": f"{n_trained:,} of {n_all:,} weights", "images": f"{plan['n_images']:,}",
        "batch": plan["batch_size"], "cache": plan["cache"]["why"],
    }  # fmt: skip


def cost(records: Records) -> dict[str, Any]:
    """Return what each stage took when it last ran here, and what the model costs."""
    seconds = {stage: content["seconds"]["total"] for stage, content in records.observed.items()}
    longest, total = max(seconds.values(), default=1.0), sum(seconds.values())
    rows = [(stage, [(taken, "a")], duration(taken)) for stage, taken in seconds.items()]
    found = records.observed.get("select", {}).get("costs", {}).get(records.ranking["winner"])
    facts = [("Weights", f"{records.size_bytes / 1e6:.1f} MB, {records.card['n_parameters']:,} parameters")]
    if found:
        facts += [
            ("One image", f"{found['latency_ms']:.3g} ms on this machine, as measured when backbones were ranked"),
            ("Memory to train", f"{found['training_memory_mb']:.0f} MB, predicted"),
            ("Training every layer", f"{duration(found['training_s'])}, predicted before training"),
        ]
    taken = records.observed.get("finetune", {}).get("seconds", {}).get("steps", {}).get("train")
    if taken is not None:
        facts.append(("Fine-tuning in all", f"{duration(taken)}, measured: the probe, every step and its checks"))
    latency = records.observed.get("register", {}).get("latency_p95_ms")
    if latency is not None:
        facts.append(("95 of 100 images", f"in {latency:.3g} ms each, as the gate measured"))
    return {"picture": bars(rows, longest) if rows else None, "total": duration(total), "facts": facts}
