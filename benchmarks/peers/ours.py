"""Ours: the very stage `finetune` of the product, in a project of its own, watched where it keeps checkpoints."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from adapters.image_files import load_examples
from adapters.json_files import write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.model_files import load_model
from adapters.processes import keep_freed_memory
from adapters.row_cache import FOLDER
from benchmarks.peers.clock import Clock
from benchmarks.peers.images import accuracy
from benchmarks.peers.plain import Task
from tasks import finetune, manifest
from tasks.checkpoints import Checkpoints
from tasks.handoffs import MODEL, RANKING
from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.finetuning import staged
from transfer.finetuning.staged import Checkpoint

REFERENCE = "torchvision/mobilenet_v2"


class _EnoughError(Exception):
    """The first model is there, and no more was asked for."""


def cold_and_warm(task: Task) -> dict[str, Clock]:
    """Run the stage three times in one project.

    Returns:
        "first": nothing is kept yet. "again": the same once more, everything that can be kept is. "remembered": what
        was computed from images is removed again, which executor is fastest here is still known; up to the first model.
    """
    keep_freed_memory()  # as every stage does
    _lay_out(task)
    backbone = _backbone(task.weights)
    measure = _measure(task, backbone)
    clocks = {"first": _watched(measure, backbone)}
    clocks["again"] = _watched(measure, backbone)
    shutil.rmtree(Path(".rootstock", FOLDER))
    clocks["remembered"] = _watched(measure, backbone, only_first=True)
    return clocks


def _lay_out(task: Task) -> None:
    """Write what the stages before leave: parameters, the manifest, the ranking."""
    reference = f"{REFERENCE}@{task.weights}"
    params = {
        "data": {"path": str(task.folder)},
        "manifest": {"seed": task.seed},
        "select": {"candidates": [reference]},
        "finetune": {"seed": task.seed},
    }
    Path("params.yaml").write_text(json.dumps(params), encoding="utf-8")
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
    sha256 = hashlib.sha256(task.weights.read_bytes()).hexdigest()
    ranking = {"winner": reference, "candidates": [{"weights_sha256": sha256}]}
    write_json(RANKING, ranking, {"manifest": MANIFEST, "quarantine": QUARANTINE})


def _watched(measure: Callable[[nn.Module], float], backbone: Backbone, *, only_first: bool = False) -> Clock:
    """Run the stage; note the model that it would ship after the probe, after the norms, after every step."""
    clock = Clock(measure)
    plain_probed = staged.probed

    def noting_probed(*arguments: Any, **named: Any) -> Any:
        found = plain_probed(*arguments, **named)
        if not clock.points:  # a second probe is part of trying other norm statistics
            clock.note("probe", found[0])
            if only_first:
                raise _EnoughError
        return found

    class Noting(Checkpoints):
        def save(self, checkpoint: Checkpoint) -> None:
            """Note the end of a step."""
            super().save(checkpoint)
            if checkpoint.snapshot is None and checkpoint.step_index:
                _note(clock, checkpoint, backbone)

        def save_now(self, checkpoint: Checkpoint) -> None:
            """Note what there is before the first step."""
            super().save_now(checkpoint)
            if checkpoint.snapshot is None and not checkpoint.step_index:
                _note(clock, checkpoint, backbone)

    with (
        mock.patch.object(staged, "probed", noting_probed),
        mock.patch.object(finetune, "Checkpoints", Noting),
        contextlib.suppress(_EnoughError),
    ):
        finetune.train()
        with clock.stopped():
            shipped, _ = load_model(MODEL)
        clock.note("shipped", shipped)
    return clock


def _note(clock: Clock, checkpoint: Checkpoint, backbone: Backbone) -> None:
    with clock.stopped():
        outcome: Any = checkpoint.events[-1]
        classifier = Classifier(backbone, len(checkpoint.weights["head.bias"]))
        classifier.load_state_dict(dict(checkpoint.weights))
    clock.note(outcome.name, classifier)


def _backbone(weights: Path) -> Backbone:
    return build_backbone(BackboneReference.parse(REFERENCE), torch.load(weights, weights_only=True), seed=0)


def _measure(task: Task, backbone: Backbone) -> Callable[[nn.Module], float]:
    rows = read_manifest().of_split("test")
    loaded = load_examples(task.folder, rows, backbone.preprocess, lambda _: None)
    pixels, labels = torch.cat(list(loaded)).permute(0, 3, 1, 2), torch.tensor([row.label for row in rows])
    return lambda network: accuracy(network, pixels, labels)
