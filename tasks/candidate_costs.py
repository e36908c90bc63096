"""What a candidate costs on this machine: measured once, then read again, so that no clock turns a choice."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from adapters import measured
from adapters.machine import machine_facts
from tasks.params_blocks import FinetuneParams
from transfer.records import CandidateCost

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone
    from transfer.backbones.speed import Speed

FILE = "speeds.json"
_MB = 1e6
_BATCH_SIZE = 32  # where it is found before training


def cost_of(backbone: "Backbone", n_classes: int, n_train: int, settings: FinetuneParams) -> CandidateCost:
    """Return what a candidate costs to serve and to fine-tune here.

    Training is counted as the step that trains every layer, as long as the parameters let it be; what steps before it
    take from kept values is not, and neither is what early stopping saves.

    Args:
        backbone: left as it was.
        n_classes: of the head.
        n_train: training rows.
        settings: of fine-tuning.
    """
    from transfer.finetuning.costs import COPIES

    speed = _speed(backbone, n_classes)
    n_images = min(settings.max_images_seen, settings.epochs * n_train)
    batch_size = settings.batch_size if isinstance(settings.batch_size, int) else _BATCH_SIZE
    return CandidateCost(
        latency_ms=1000 * speed.latency_s,
        size_mb=speed.n_bytes / _MB,
        training_s=speed.update_s * n_images,
        training_memory_mb=(COPIES * speed.n_bytes + speed.held_bytes * batch_size) / _MB,
    )


def _speed(backbone: "Backbone", n_classes: int) -> "Speed":
    """Return how fast a candidate is: as it was measured here before, or now."""
    from transfer.backbones.backbone import Classifier
    from transfer.backbones.reference import BackboneReference
    from transfer.backbones.speed import Speed, measured_speed

    architecture = str(BackboneReference.parse(backbone.reference).with_weights(None))
    facts = {**machine_facts(), "backbone": architecture, "crop_px": backbone.preprocess.crop_px}
    project, known = Path.cwd(), None
    try:
        known = Speed(**measured.recall(project, FILE, facts))
    except TypeError:  # nothing, or damaged
        known = measured_speed(Classifier(backbone, n_classes), time.perf_counter)
        measured.remember(project, FILE, facts, asdict(known))
    return known
