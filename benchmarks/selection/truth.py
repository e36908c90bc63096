"""The truth: what every candidate reaches on every task, fine-tuned by the stage `finetune` as the product runs it."""

import contextlib
import fcntl
import io
import json
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapters.json_files import sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.model_files import WEIGHTS, load_model
from adapters.sealed_labels import open_labels
from benchmarks.kept import read_runs, write_runs
from benchmarks.selection.pool import label
from benchmarks.selection.targets import Target
from tasks import finetune, manifest
from tasks.examples import prepared
from tasks.handoffs import MODEL, RANKING
from tasks.history import read_history
from tasks.params import read_params
from transfer.backbones.reference import BackboneReference
from transfer.finetuning.measuring import predict_logits

KEY = ("target", "candidate", "seed")
_OF_STEPS = ("name", "kept", "val_accuracy", "val_nll_before", "val_nll_after")
Key = tuple[str, str, int]


def reached(target: Target, candidate: str, seed: int, data_sets: Path) -> dict[str, Any]:
    """Fine-tune a candidate on a task in a new project that keeps nothing yet, and test it.

    Args:
        target: the task.
        candidate: an absolute backbone reference.
        seed: of the images that are drawn, of the manifest, which decides the validation rows, and of fine-tuning.
        data_sets: see `Target.lay_out`.

    Returns:
        Accuracy on the test rows, processor and wall seconds of the stage, and how each step ended.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        target.lay_out(data_sets, Path("data"), seed)
        lay_out("data", [candidate], seed)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            manifest.describe()
            _name_winner(candidate)
            began, processor = time.perf_counter(), time.process_time()
            finetune.train()
            wall_s, cpu_s = time.perf_counter() - began, time.process_time() - processor
            described, (classifier, card) = read_manifest(), load_model(MODEL)
            rows = open_labels(Path.cwd(), described.of_split("test"), "a benchmark", sha256_of(MODEL / WEIGHTS))
            examples = prepared(read_params().data.path, rows, card.preprocess)
        logits = predict_logits(classifier, examples.inputs)
        steps = [asdict(outcome) for outcome in read_history(finetune.HISTORY)[1]]
    return {
        "accuracy": float((logits.argmax(1) == examples.labels).double().mean()),
        "cpu_s": round(cpu_s, 2),
        "wall_s": round(wall_s, 2),
        "steps": [{name: step[name] for name in _OF_STEPS} for step in steps],
        "n_train": len(described.of_split("train")),
        "n_test": len(rows),
    }


def lay_out(data_path: str, candidates: Iterable[str], seed: int, select: Mapping[str, Any] | None = None) -> None:
    """Write the parameters of a project, defaults but for these.

    Args:
        data_path: its data set.
        candidates: backbone references.
        seed: see `reached`.
        select: further parameters of that stage.
    """
    params = {
        "data": {"path": data_path},
        "manifest": {"seed": seed},
        "select": {"candidates": [*candidates], **(select or {})},
        "finetune": {"seed": seed},
    }
    Path("params.yaml").write_text(json.dumps(params), encoding="utf-8")


def _name_winner(candidate: str) -> None:
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
    weights = BackboneReference.parse(candidate).weights_file
    ranking = {"winner": candidate, "candidates": [{"weights_sha256": weights and sha256_of(Path(weights))}]}
    write_json(RANKING, ranking, {"manifest": MANIFEST, "quarantine": QUARANTINE})


def read(path: Path) -> dict[Key, dict[str, Any]]:
    """Return what was found before, by task, candidate and seed."""
    return {tuple(row[name] for name in KEY): row["found"] for row in read_runs(path)}


def contenders(kept: Mapping[Key, Mapping[str, Any]], target: str, near: float) -> set[str]:
    """Return which candidates were within `near` points of the best one of a task, with seed 0."""
    reached_by = {name: found["accuracy"] for (task, name, seed), found in kept.items() if (task, seed) == (target, 0)}
    return {name for name, accuracy in reached_by.items() if 100 * (max(reached_by.values()) - accuracy) <= near}


def add(path: Path, target: Target, candidate: str, seed: int, found: Mapping[str, Any]) -> None:
    """Add a result to the file, whatever another process has added meanwhile."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = {**read(path), (target.name, label(candidate), seed): found}
        write_runs(path, ({**dict(zip(KEY, key, strict=True)), "found": one} for key, one in sorted(kept.items())))
