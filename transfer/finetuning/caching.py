"""What a frozen prefix makes of images is computed once: whether that pays, and the values themselves.

With f the prefix's share of a forward pass and a backward pass worth two of them, training the rest for E epochs costs
E (f + 3 (1 - f)) forward passes an image without a cache, f V + 3 E (1 - f) with V views of it kept; training all
layers costs 3 E.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from transfer.backbones.boundary import Boundary
from transfer.backbones.executors import BATCH_SIZE, EAGER, FromPixels, Run, prepare, run_rows
from transfer.backbones.modes import evaluating
from transfer.data.batches import augment
from transfer.finetuning.inputs import Pixels, Views, moved
from transfer.randomness import generator
from transfer.records import Preprocess

MOST_VIEWS = 4
_VERSION = 1  # of what the code between pixels and kept values does
HARMLESS = 1e-3  # relative error of logits, root mean square

Compute = Callable[[Sequence[int]], Iterable[Tensor]]
Executor = tuple[str, Run]


class Keep(Protocol):
    """Where computed rows are kept: looks for them by what they are, computes those that are missing."""

    def __call__(self, what: Mapping[str, Any], keys: Sequence[str], compute: Compute, /) -> Tensor:
        """Return a row for every key; `compute` yields batches for the indices it is given, in their order."""
        ...


class Execute(Protocol):
    """Finds a fast way to run a frozen network."""

    def __call__(self, network: nn.Module, sample: Tensor, n_images: int, /) -> tuple[str, Run]:
        """Return an executor's name and the executor, for so many images like the sample, uint8 (n, 3, H, W)."""
        ...


def forget(what: Mapping[str, Any], keys: Sequence[str], compute: Compute) -> Tensor:  # noqa: ARG001
    """Compute every row and keep none."""
    return torch.cat(list(compute(range(len(keys)))))


@dataclass(frozen=True, slots=True)
class CachePlan:
    """Whether a step learns from kept values, and why.

    Args:
        n_views: views of every training image; 0 without a cache.
        n_bytes: of all kept values, training and validation.
        speed_up: operations of the step without a cache over those with it.
        speed_up_over_all: operations of training all layers for as long over those of the step as planned.
        why: a sentence.
        frozen_share: of the operations of a forward pass, those before the values that are kept, in [0, 1]; 0 where
            keeping them did not pay or could not be.
    """

    n_views: int
    n_bytes: int
    speed_up: float
    speed_up_over_all: float
    why: str
    frozen_share: float = 0.0

    def shortened(self, n_views: int, n_epochs: float, n_train: int, n_val: int, cost: int) -> "CachePlan":
        """Return what is kept for a step of fewer passes.

        Args:
            n_views: at most those of this plan.
            n_epochs: passes over the training rows; 0 where nothing is left of the step.
            n_train: see `plan_cache`.
            n_val: see `plan_cache`.
            cost: see `plan_cache`.
        """
        if not self.n_views:
            return self
        if n_views and n_epochs:
            row_bytes = self.n_bytes // (self.n_views * n_train + n_val)
            return _keeping(self.frozen_share, n_views, n_epochs, (n_views * n_train + n_val) * row_bytes, cost)
        if not n_epochs:
            return CachePlan(0, 0, 1.0, 1.0, "the budget leaves no image")
        why = "the budget leaves no time to compute values for later passes"
        return CachePlan(0, 0, 1.0, 3 / (self.frozen_share + cost * (1 - self.frozen_share)), why)


def plan_cache(
    boundary: Boundary | None, n_train: int, n_val: int, n_epochs: float, max_bytes: int, *, varied: bool, cost: int = 3
) -> CachePlan:
    """Decide whether keeping what the prefix makes pays, in operations and in bytes.

    Args:
        boundary: where the trunk is cut; None where it cannot be.
        n_train: training rows.
        n_val: validation rows.
        n_epochs: passes over the training rows, above 0.
        max_bytes: what the values may take.
        varied: whether training varies images, so that one view would not do.
        cost: forward passes that an update of the rest is worth: 3, or 2 where no kernel needs a gradient.
    """
    if boundary is None:
        return CachePlan(0, 0, 1.0, 3 / cost, "nothing before the first trained layer is frozen")
    frozen, trained = boundary.frozen_share, cost * n_epochs * (1 - boundary.frozen_share)
    uncached = n_epochs * frozen + trained
    n_views = min(MOST_VIEWS, max(1, int(n_epochs / 2))) if varied else 1  # each view serves two passes or more
    row = 2 * boundary.width  # float16
    while n_views > 1 and (n_views * n_train + n_val) * row > max_bytes:
        n_views -= 1
    n_bytes = (n_views * n_train + n_val) * row
    if n_bytes > max_bytes:
        why = f"the values would take {n_bytes / 1e6:.0f} MB, more than the {max_bytes / 1e6:.0f} MB there are for them"
        return CachePlan(0, 0, 1.0, 3 * n_epochs / uncached, why)
    cached = frozen * n_views + trained
    if cached >= uncached:
        why = "there is no second pass that kept values would serve"
        return CachePlan(0, 0, 1.0, 3 * n_epochs / uncached, why)
    return _keeping(frozen, n_views, n_epochs, n_bytes, cost)


def _keeping(frozen: float, n_views: int, n_epochs: float, n_bytes: int, cost: int) -> CachePlan:
    """Return the plan that keeps views of what a frozen share of the operations makes; see `plan_cache`."""
    trained = cost * n_epochs * (1 - frozen)
    uncached, cached = n_epochs * frozen + trained, n_views * frozen + trained
    views = f"{n_views} view{'s' if n_views > 1 else ''}"
    why = (
        f"{frozen:.0%} of a forward pass is frozen: {views} for {n_epochs:.2g} passes, {n_bytes / 1e6:.0f} MB, "
        f"{uncached / cached:.1f} times fewer operations"
    )
    return CachePlan(n_views, n_bytes, uncached / cached, 3 * n_epochs / cached, why, frozen)


def executor_of(boundary: Boundary, pixels: Pixels, n_images: int, execute: Execute | None = None) -> Executor:
    """Make a frozen prefix ready to run.

    Args:
        boundary: whose prefix.
        pixels: images like those that it will run on.
        n_images: that it will run on.
        execute: finds a fast way; straight through PyTorch when None.

    Returns:
        The executor's name and the executor.
    """
    network = FromPixels(boundary.prefix, pixels.preprocess)
    sample = moved(pixels.examples.inputs[:BATCH_SIZE], pixels.device)
    return (execute or _straight)(network, sample, n_images)


def views_of(
    boundary: Boundary,
    pixels: Pixels,
    n_views: int,
    seed: int,
    dtype: torch.dtype,
    executor: Executor | None = None,
    keep: Keep = forget,
    facts: Mapping[str, Any] | None = None,
) -> Views:
    """Run views of images through a frozen prefix; view 0 is the image as it is.

    A view is a function of seed, number and content alone, so that it can be kept and found again.

    Args:
        boundary: whose prefix; it runs in evaluation mode, as `cut` found it.
        pixels: images with a key for every row, and how they are varied.
        n_views: at least 1.
        seed: of the variations of all views but the first.
        dtype: of the kept values; float16 where `is_harmless` says so.
        executor: what runs the prefix, and its name, see `executor_of`; straight through PyTorch when None.
        keep: where the values are kept.
        facts: what else the values depend on: decoders, libraries, the machine.
    """
    examples, augmentation = pixels.examples, pixels.augmentation
    name, run = executor or executor_of(boundary, pixels, n_views * len(examples))
    what = {**(facts or {}), **_facts(boundary, pixels.preprocess, name, dtype)}
    values = []
    for view in range(n_views):
        varied = {"variation": [seed, augmentation.min_area, augmentation.flip_probability]} if view else {}

        def compute(missing: Sequence[int], view: int = view) -> Iterator[Tensor]:
            for batch in torch.tensor(missing, dtype=torch.int64).split(BATCH_SIZE):
                for made in run_rows(run, _view(pixels, batch, view, seed)):
                    yield made.to(dtype)

        values.append(keep({**what, "view": view, **varied}, examples.keys, compute))
    return Views(torch.stack(values), examples.labels, pixels.device)


def _facts(boundary: Boundary, preprocess: Preprocess, executor: str, dtype: torch.dtype) -> dict[str, Any]:
    """Return all that values depend on beside the image and its variation."""
    return {
        "kind": "boundary",
        "version": _VERSION,
        "prefix": boundary.digest(),
        "executor": executor,
        "preprocess": [preprocess.resize_px, preprocess.crop_px, *preprocess.mean, *preprocess.std],
        "interpolation": preprocess.interpolation,
        "dtype": str(dtype).removeprefix("torch."),
    }


def is_harmless(boundary: Boundary, head: nn.Module, images: Tensor, dtype: torch.dtype) -> bool:
    """Say whether keeping values in a shorter type leaves logits as they are, but for `HARMLESS`.

    Args:
        boundary: whose values.
        head: features -> logits.
        images: float32 (n, 3, H, W), normalised.
        dtype: to be judged.
    """
    with evaluating(boundary.suffix), torch.no_grad():
        exact = boundary.prefix(images)
        rounded = exact.to(dtype).float()
        if not bool(torch.isfinite(rounded).all()):
            return False
        truth, found = (head(boundary.suffix(rows)) for rows in (exact, rounded))
    return bool((found - truth).square().mean().sqrt() <= HARMLESS * truth.square().mean().sqrt())


def _straight(network: nn.Module, sample: Tensor, n_images: int) -> tuple[str, Run]:  # noqa: ARG001
    return EAGER, prepare(EAGER, network, sample[:1])


def _view(pixels: Pixels, rows: Tensor, view: int, seed: int) -> Tensor:
    examples = pixels.examples
    if not view:
        return examples.inputs[rows]
    made = []
    for row in rows.tolist():
        source = generator(seed, f"view {view} of {examples.keys[row]}")
        made.append(augment(examples.inputs[row : row + 1], source, pixels.augmentation))
    return torch.cat(made)
