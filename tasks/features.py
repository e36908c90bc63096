"""Features of a frozen backbone: each image's computed once, by the executor that is fastest here."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from adapters.executor_choices import recall, remember
from adapters.image_files import pixel_recipe
from adapters.machine import machine_facts
from tasks.examples import prepared
from tasks.kept_rows import kept_rows
from tasks.progress import progress
from transfer.records import Row

if TYPE_CHECKING:
    from torch import Tensor, nn

    from transfer.backbones.backbone import Backbone
    from transfer.backbones.executors import Run
    from transfer.backbones.trial import Choice

_VERSION = 1  # of what the code between pixels and features does
_small_work: "WeakKeyDictionary[Backbone, int]" = WeakKeyDictionary()  # counted once a backbone
_ready: "WeakKeyDictionary[Backbone, tuple[str, Run]]" = WeakKeyDictionary()  # the executor of its last features


def features_of(
    backbone: "Backbone",
    weights_sha256: str | None,
    data_path: str,
    rows: Sequence[Row],
    text: str,
    pixels: "Callable[[], Tensor] | None" = None,
) -> "Tensor":
    """Return the features of rows; those that any stage computed before come from the project's cache.

    Args:
        backbone: left as it is.
        weights_sha256: of its weights file; None where its weights are random.
        data_path: the data set's folder.
        rows: of the manifest; only those whose features are missing are decoded.
        text: what the progress bar says.
        pixels: returns the prepared pixels of all rows, where the caller has them anyway.

    Returns:
        float32 (N, feature_dim), in the order of `rows`.

    Raises:
        UserError: a file that has to be read is gone or is not the one the manifest describes.
    """
    import torch

    if not rows:
        return torch.empty(0, backbone.feature_dim)
    work, small = _Work(backbone, weights_sha256, data_path, rows, text, pixels), _small(backbone, len(rows))
    # Asked first, so that no memory of other work changes what this work is done with.
    return _done(work, small) if small is not None else _remembered(work)


def _remembered(work: "_Work") -> "Tensor":
    """Return the features, by the executor that was chosen for as much work before, or by one that is chosen now."""
    from transfer.backbones.executors import UnavailableError

    backbone, rows = work.backbone, work.rows
    project, facts = Path.cwd(), executor_facts(backbone, len(rows))
    remembered = recall(project, facts)
    if remembered is not None and remembered.covers(len(rows)):
        with suppress(UnavailableError):  # chosen here before, and yet it does not work any more: choose again
            return _done(work, remembered)
    choice, run = _chosen(backbone, len(rows), work.load)
    remember(project, facts, choice)
    return _done(work, choice, run)


def executor_facts(backbone: "Backbone", n_images: int) -> dict[str, Any]:
    """Return what decides which executor is the fastest: the machine, the architecture, and how much work there is.

    Work counts as the same up to the next power of two images: a choice for other work never changes this one's.
    """
    size = {"crop_px": backbone.preprocess.crop_px, "up_to_images": 1 << (n_images - 1).bit_length()}
    return {**machine_facts(), "backbone": _architecture(backbone), **size}


@dataclass(frozen=True, slots=True)
class _Work:
    """What `features_of` was asked for."""

    backbone: "Backbone"
    weights_sha256: str | None
    data_path: str
    rows: Sequence[Row]
    text: str
    pixels: "Callable[[], Tensor] | None"

    def load(self, indices: Sequence[int]) -> "Tensor":
        """Return the pixels of some rows."""
        if self.pixels is not None:
            return self.pixels()[list(indices)]
        return prepared(self.data_path, [self.rows[index] for index in indices], self.backbone.preprocess).inputs


def _small(backbone: "Backbone", n_images: int) -> "Choice | None":
    """Return the executor for work that PyTorch is through with before a trial ends; None for more work."""
    import torch

    from transfer.backbones.executors import EAGER, FromPixels
    from transfer.backbones.trial import Choice, small_work

    if backbone not in _small_work:
        network, side_px = FromPixels(backbone.trunk, backbone.preprocess), backbone.preprocess.crop_px
        _small_work[backbone] = small_work(network, torch.zeros(1, 3, side_px, side_px, dtype=torch.uint8))
    n_small = _small_work[backbone]
    return Choice(EAGER, up_to_images=n_small) if n_images <= n_small else None


def _chosen(
    backbone: "Backbone", n_images: int, load: "Callable[[Sequence[int]], Tensor]"
) -> "tuple[Choice, Run | None]":
    """Return the executor that is fastest for so many images."""
    from transfer.backbones.executors import BATCH_SIZE, FromPixels
    from transfer.backbones.trial import choose

    network = FromPixels(backbone.trunk, backbone.preprocess)
    return choose(network, load(range(min(n_images, BATCH_SIZE))), n_images, time.perf_counter)


def _done(work: _Work, choice: "Choice", run: "Run | None" = None) -> "Tensor":
    """Return the features, computing those that the cache lacks.

    Decoding ends before computing begins: either keeps all cores busy by itself (docs/frozen_trunk.md).
    """
    from transfer.backbones.executors import run_rows

    recipe = _recipe(work.backbone, work.weights_sha256, choice.executor)

    def compute(indices: Sequence[int]) -> "Iterator[Tensor]":
        inputs = work.load(indices)
        ready = _prepared(work.backbone, choice.executor, recipe, inputs[:1], run)
        with progress(work.text, total=len(indices)) as bar:
            yield from run_rows(ready, inputs, choice.batch_size, bar.advance)

    return kept_rows(recipe, [row.sha256 for row in work.rows], compute)


def _prepared(
    backbone: "Backbone", name: str, recipe: Mapping[str, Any], example: "Tensor", run: "Run | None"
) -> "Run":
    """Return an executor of a backbone's values: the one at hand, that of its last features, or a new one."""
    from transfer.backbones.executors import EAGER, FromPixels, prepare

    key = json.dumps(recipe, sort_keys=True)
    last, ready = _ready.get(backbone, ("", None))
    run = run or (ready if last == key else None)
    if run is None:
        run = prepare(name, FromPixels(backbone.trunk, backbone.preprocess), example)
    if name != EAGER:  # which would run whatever values the backbone has by then
        _ready[backbone] = (key, run)
    return run


def prefix_executor(backbone: "Backbone", network: "nn.Module", sample: "Tensor", n_images: int) -> "tuple[str, Run]":
    """Return the name of an executor and the executor for a frozen part of a backbone: remembered, or measured now.

    Args:
        backbone: whose part it is.
        network: pixels, uint8 (N, 3, H, W) -> float32 (N, width).
        sample: rows of its input, at least one.
        n_images: that it will run on.
    """
    import torch

    from transfer.backbones.executors import EAGER, UnavailableError, prepare
    from transfer.backbones.trial import choose, small_work

    if n_images <= small_work(network, torch.zeros_like(sample[:1])):
        return EAGER, prepare(EAGER, network, sample[:1])
    part = hashlib.sha256(str(network).encode()).hexdigest()
    project, facts = Path.cwd(), {**executor_facts(backbone, n_images), "part": part, "device": sample.device.type}
    remembered = recall(project, facts)
    if remembered is not None and remembered.covers(n_images):
        with suppress(UnavailableError):  # chosen here before, and yet it does not work any more: choose again
            return remembered.executor, prepare(remembered.executor, network, sample[:1])
    choice, run = choose(network, sample, n_images, time.perf_counter)
    remember(project, facts, choice)
    return choice.executor, run


class PreparedOnce:
    """Executors of frozen parts of a backbone, each made once: what measuring prepared is what the run uses.

    Args:
        backbone: whose parts.
        n_images: that a part runs on, at most; the same for any plan, so that a shorter one runs in the same executor.
    """

    def __init__(self, backbone: "Backbone", n_images: int) -> None:
        self._backbone, self._n_images = backbone, n_images
        self._made: dict[str, tuple[str, Run]] = {}

    def __call__(self, network: "nn.Module", sample: "Tensor", n_images: int) -> "tuple[str, Run]":  # noqa: ARG002
        """Return what `prefix_executor` returns for a part, made only where its weights were not seen before."""
        from transfer.backbones.digests import digest_of

        key = hashlib.sha256(f"{network}{digest_of(network)}".encode()).hexdigest()
        if key not in self._made:
            self._made[key] = prefix_executor(self._backbone, network, sample, self._n_images)
        return self._made[key]


def _recipe(backbone: "Backbone", weights_sha256: str | None, executor: str) -> dict[str, Any]:
    """Return everything that features depend on beside the image."""
    from transfer.backbones.digests import digest_of

    return {
        "kind": "features",
        "version": _VERSION,
        "backbone": _architecture(backbone),
        "weights_sha256": weights_sha256 or digest_of(backbone.trunk),
        "pixels": pixel_recipe(backbone.preprocess),
        "preprocess": asdict(backbone.preprocess),
        "executor": executor,
        "dtype": "float32",
        **machine_recipe(backbone),
    }


def machine_recipe(backbone: "Backbone") -> dict[str, Any]:
    """Return what else changes the bits of computed rows: architecture, decoders, libraries, threads, instructions."""
    facts = {name: value for name, value in machine_facts().items() if name != "memory_limit_bytes"}
    return {"architecture": _architecture(backbone), "pixels": pixel_recipe(backbone.preprocess), **facts}


def _architecture(backbone: "Backbone") -> str:
    from transfer.backbones.reference import BackboneReference

    return str(BackboneReference.parse(backbone.reference).with_weights(None))
