"""Ours: the very stage `finetune` of the product, in a project of its own, watched where it keeps checkpoints."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from adapters.image_files import load_examples
from adapters.json_files import write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.model_files import load_model
from adapters.processes import keep_freed_memory
from adapters.row_cache import FOLDER
from adapters.sealed_labels import open_labels
from benchmarks.peers.clock import Clock
from benchmarks.peers.images import accuracy
from benchmarks.peers.plain import Task
from tasks import finetune, manifest
from tasks.checkpoints import Checkpoints
from tasks.handoffs import MODEL, RANKING
from transfer.backbones.backbone import Backbone, Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.finetuning import probing
from transfer.finetuning.staged import Checkpoint
from transfer.finetuning.states import clone_state
from transfer.records import StepOutcome

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
    plain_probed, plain_refitted = probing.probed, probing.refitted
    probes: list[Classifier] = []

    def noting_probed(*arguments: Any, **named: Any) -> Any:
        found = plain_probed(*arguments, **named)
        if not probes:  # a second probe is part of trying other norm statistics
            probes.append(found[0])
            clock.note("probe", found[0])
        return found

    def noting_refitted(*arguments: Any, **named: Any) -> Any:
        found = plain_refitted(*arguments, **named)
        if not any(point.name == "refit" for point in clock.points):
            clock.note("refit", _with_head(backbone, clone_state(probes[0]), found[0]))
            if only_first:
                raise _EnoughError
        return found

    class Noting(Checkpoints):
        def save(self, checkpoint: Checkpoint) -> None:
            """Note the end of a step."""
            super().save(checkpoint)
            if checkpoint.snapshot is None and checkpoint.step_index:
                _note(clock, checkpoint, backbone)

    with (
        mock.patch.object(probing, "probed", noting_probed),
        mock.patch.object(probing, "refitted", noting_refitted),
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
        steps = [event for event in checkpoint.events if isinstance(event, StepOutcome)][-checkpoint.step_index :]
        head = {} if any(step.kept for step in steps) else checkpoint.spare
        classifier = _with_head(backbone, checkpoint.weights, head)
    clock.note(steps[-1].name, classifier)


def _with_head(backbone: Backbone, weights: Mapping[str, Tensor], head: Mapping[str, Tensor]) -> Classifier:
    classifier = Classifier(backbone, len(weights["head.bias"]))
    classifier.load_state_dict({**weights, **head})
    return classifier


def _backbone(weights: Path) -> Backbone:
    return build_backbone(BackboneReference.parse(REFERENCE), torch.load(weights, weights_only=True), seed=0)


def _measure(task: Task, backbone: Backbone) -> Callable[[nn.Module], float]:
    rows = open_labels(Path.cwd(), read_manifest().of_split("test"), "a benchmark", "")
    loaded = load_examples(task.folder, rows, backbone.preprocess, lambda _: None)
    pixels, labels = torch.cat(list(loaded)).permute(0, 3, 1, 2), torch.tensor([row.label for row in rows])
    return lambda network: accuracy(network, pixels, labels)
