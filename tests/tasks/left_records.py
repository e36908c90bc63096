"""The records that all stages before `report` leave, of a data set with classes of any name and number."""

import csv
from collections.abc import Sequence
from typing import Any

from adapters.json_files import write_json, write_plain_json
from tasks.handoffs import (
    CALIBRATION,
    CHAMPION,
    EXPLANATIONS,
    FINETUNE_HISTORY,
    LOOKS,
    METRICS,
    MODEL,
    RANKING,
    REFERENCE_HISTORY,
    REGISTRATION,
    REPORT,
    SLICES,
    VERDICT,
)

N_OF_CLASS = 4  # test images; the last one of each class is taken for the next class
WEIGHTS, CARD = MODEL / "model.safetensors", MODEL / "card.json"
BETWEEN = {"value": 0.75, "low": 0.7, "high": 0.8}
SPLITS = ("train", "val", "test")


def leave_records(classes: Sequence[str], backbone: str = "rootstock/strokes", **more: Any) -> None:
    """Write every record into the current directory; `more` replaces what registration.json says."""
    MODEL.mkdir(parents=True, exist_ok=True)
    WEIGHTS.write_bytes(b"weights")
    card = {"reference": backbone, "classes": list(classes), "preprocess": {"resize_px": 32, "crop_px": 32}}
    write_plain_json(CARD, {**card, "n_parameters": 1234, "head": "linear"})
    _leave_data(classes)
    _leave_ranking(backbone)
    _leave_histories()
    _leave_results(classes)
    registration = {
        "name": "digits", "model_version": "7", "alias": "challenger", "model_sha256": "0" * 64,
        "weights_licence": "Apache-2.0", "weights_origin": "trained here", "weights_training_data": "generated images",
        "git_commit": "c" * 40, "git_dirty": "false", "params_sha256": "d" * 64, "environment": "Python",
        "promotion": {"outcome": "promote", "sentence": "Promoted: there was no champion.", "reasons": []},
    }  # fmt: skip
    made_from = {"weights": WEIGHTS, "card": CARD, "metrics": METRICS, "verdict": VERDICT, "looks": LOOKS}
    write_json(REGISTRATION, {**registration, **more}, {**made_from, "champion": CHAMPION})


def _leave_data(classes: Sequence[str]) -> None:
    rows = [{"class_name": name, "n_images": 16, "n_train": 8, "n_val": 4, "n_test": 4} for name in classes]
    failed = {
        "name": "sides", "severity": "warning", "passed": False, "says": "no side is shorter than 8 px",
        "remedy": "look at them.", "column": "width_px", "n_checked": 16, "n_unexpected": 2, "observed": "",
        "examples": [],
    }  # fmt: skip
    n = len(classes)
    counts = {"n_files": 16 * n + 1, "n_readable": 16 * n, "n_quarantined": 1, "n_classes": n}
    counts |= {"n_train": 8 * n, "n_val": 4 * n, "n_test": 4 * n}
    quarantined = [{"path": f"{classes[0]}/broken.png", "problem": f"It is cut off: {classes[-1]}."}]
    report = {
        "data_path": "data/digits", "passed": True, "summary": f"{16 * n} files; 18 of 19 expectations hold.",
        "n_errors": 0, "n_warnings": 1, "counts": counts, "splits": list(SPLITS), "given_splits": [],
        "checks": [failed], "classes": rows, "quarantined": quarantined, "ignored": {},
    }  # fmt: skip
    write_json(REPORT, report)


def _leave_ranking(backbone: str) -> None:
    one = {
        "reference": backbone, "accuracy": BETWEEN, "probability_best": 0.9, "level": True, "n_rows": 80,
        "weights_sha256": "a" * 64, "licence": None, "beyond": "",
    }  # fmt: skip
    other = {**one, "reference": f"{backbone}@other", "probability_best": 0.1, "weights_sha256": None}
    ranking = {
        "candidates": [one, other], "failed": [{"reference": "x/y", "why": "No <weights>.", "can_be_mended": True}],
        "winner": backbone, "strategy": "staged", "why": f"{backbone} leads.", "n_remembered_runs": 3,
        "pixel_baseline": {**one, "reference": "raw pixels"}, "proxy_a_distance": None, "early_warnings": [],
    }  # fmt: skip
    write_json(RANKING, ranking)
    costs = {"latency_ms": 1.5, "size_mb": 2.5, "training_s": 70.0, "training_memory_mb": 60.0}
    content = {"seconds": {"total": 3.0, "steps": {}}, "costs": {backbone: costs, f"{backbone}@other": costs}}
    write_plain_json(RANKING.with_name("observed.json"), content)


def _leave_histories() -> None:
    def epochs(step: str, *nlls: float) -> list[dict[str, Any]]:
        return [
            {"step_name": step, "epoch": place, "images_seen": 80 * place, "val_nll": nll, "val_accuracy": 0.7}
            for place, nll in enumerate(nlls, start=1)
        ]

    step = {
        "name": "probe", "trained_groups": ["head"], "val_nll_before": None, "val_nll_after": 0.8, "val_accuracy": 0.7,
        "images_seen": 80, "kept": True, "val_nll_noise": None, "blend": 1.0,
    }  # fmt: skip
    undone = {**step, "name": "last", "val_nll_before": 0.8, "val_nll_noise": 0.01, "kept": False}
    history = {
        "balance": [], "epochs": [*epochs("probe", 0.8), *epochs("last", 0.9, 1.0)], "rates": [], "rescues": [],
        "steps": [step, undone], "strategy": "staged", "batch_size": 32, "trained_on": {"device": "cpu"},
    }  # fmt: skip
    write_json(FINETUNE_HISTORY, history, {"ranking": RANKING})
    group = {"name": "head", "n_parameters": 20, "n_trained": 10}
    planned = {"step": {"name": "last"}, "groups": [group], "n_images": 160, "batch_size": 32}
    plan = {"balance": {"why": "Classes are equal"}, "steps": [{**planned, "cache": {"why": "nothing is frozen"}}]}
    write_plain_json(FINETUNE_HISTORY.with_name("plan.json"), plan)
    write_json(REFERENCE_HISTORY, {"note": "equal images seen", "epochs": epochs("scratch", 2.0, 1.5)})


def _leave_results(classes: Sequence[str]) -> None:
    n = len(classes)
    metrics: dict[str, Any] = {"n_test": N_OF_CLASS * n, "n_classes": n, "ece_if_calibrated": 0.09, "references": ""}
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "ece", "worst_slice_accuracy", "lac_coverage"):
        metrics |= {name: 0.75, f"{name}_low": 0.7, f"{name}_high": 0.8}
    write_plain_json(METRICS, metrics | {"worst_slice": f"class {classes[0]}", "worst_slice_n": 25})
    gain = {"accuracy": BETWEEN, "gain": {"value": 0.1, "low": 0.05, "high": 0.15}, "p_adjusted": 0.01, "better": True}
    verdict = {
        "verdict": "positive", "sentence": "Transfer helped.", "margin": 0.01, "confidence": 0.95, "parts": {},
        "comparisons": {"scratch": gain, "random_frozen": gain}, "caveats": ["A caveat."], "early_warnings": [],
    }  # fmt: skip
    write_json(VERDICT, verdict, {"transfer": WEIGHTS, "ranking": RANKING})
    write_json(CHAMPION, {"champion": None})
    nothing: dict[str, Any] = {"maps": [], "confused_pairs": [], "confident_errors": [], "examples": []}
    write_json(EXPLANATIONS, {**nothing, "nearest_of": ""}, {"model": WEIGHTS})
    write_json(LOOKS, {"n_models": 1, "sentence": "One look."}, {"weights": WEIGHTS})
    write_json(CALIBRATION, _calibration(classes))
    slices = [
        {"column": "class", "part": name, "n_rows": 25, "accuracy": BETWEEN, "p_adjusted": 0.01, "worse": not place}
        for place, name in enumerate(classes)
    ]
    worst = {"worst": slices[0], "surely_worse": [f"class {classes[0]}"]}
    write_json(SLICES, {"fewest_images": 20, "slices": slices, **worst})
    _write_table("per_class.csv", [_class_row(name) for name in classes])
    _write_table("predictions.csv", [row for place in range(n) for row in _answers(classes, place)])


def _calibration(classes: Sequence[str]) -> dict[str, Any]:
    sets = {
        "asked": 0.9, "coverage": BETWEEN, "coverage_by_chance": [0.85, 0.95], "mean_size": 1.0, "empty": 0.0,
        "least_covered_class": {"class": classes[-1], "coverage": 0.5},
    }  # fmt: skip
    return {
        "validation": {"n_rows": 40, "how": "its own answers"},
        "temperature": {"ece_untempered": None, "ece_as_it_is": 0.75},
        "sets": {"lac": sets, "aps": {**sets, "coverage": {**BETWEEN, "value": 0.9}}},
        "reliability": [{"confidence": 0.6, "accuracy": BETWEEN, "n_rows": 20}],
        "risk_coverage": [{"coverage": share, "risk": {"value": 0.25, "low": 0.2, "high": 0.3}} for share in (0.5, 1)],
    }


def _class_row(name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"class": name, "support": N_OF_CLASS, "precision": ""}
    for figure in ("recall", "f1", "auroc"):
        row |= {figure: 0.75, f"{figure}_low": 0.3, f"{figure}_high": 0.95}
    return row


def _answers(classes: Sequence[str], place: int) -> list[dict[str, Any]]:
    following = classes[(place + 1) % len(classes)]
    answers = [classes[place]] * (N_OF_CLASS - 1) + [following]
    return [{"path": f"{index}.png", "actual": classes[place], "predicted": said} for index, said in enumerate(answers)]


def _write_table(name: str, rows: Sequence[dict[str, Any]]) -> None:
    with METRICS.with_name(name).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
