"""Choose the fastest executor for a network by a short trial whose cost must pay for itself."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from transfer.backbones.executors import (
    BATCH_SIZE,
    EAGER,
    FOLDED,
    FOLDED_BFLOAT16,
    NAMES,
    ONNXRUNTIME,
    Run,
    UnavailableError,
    prepare,
)
from transfer.backbones.modes import evaluating
from transfer.backbones.operations import n_operations

# Largest relative L2 distance of a row from plain PyTorch. float32 executors are at 1e-6 and change no decision of a
# nearest-neighbour vote or a probe; bfloat16 is at 1e-2 and changes some (docs/frozen_trunk.md).
TOLERANCE = 1e-4
SMALL_WORK_FLOPS = 6e10  # takes PyTorch at most 3 s even where it is slowest; a trial and an export cost about 2 s
_N_COMPARED = 4  # rows that plain PyTorch computes as well
_N_TIMED = 2
_NEEDS_NORMS = (FOLDED,)
_CLEARLY = 0.9  # a challenger takes at most this share of the time, so that a tie ends the same way every time
_DEPENDENT = "the bits of a row depend on the rows beside it"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What is known of an executor before it is tried, over the architectures of docs/frozen_trunk.md.

    Args:
        name: of the executor.
        best_case: the smallest share of eager's time that it was seen to take.
        least_error: the smallest error that it was seen to make.
        fixed_s: what making it costs whatever the network (its imports).
        per_module_s: and a module without children.
        per_mb_s: and a megabyte of weights.
    """

    name: str
    best_case: float
    least_error: float
    fixed_s: float
    per_module_s: float
    per_mb_s: float

    def cost_s(self, network: nn.Module, eager_s: float) -> float:
        """Return what trying it is expected to cost, its batches included."""
        n_modules = sum(1 for module in network.modules() if not any(module.children()))
        n_mb = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters()) / 1e6
        made_s = self.fixed_s + self.per_module_s * n_modules + self.per_mb_s * n_mb
        return made_s + (1 + _N_TIMED) * self.best_case * eager_s


# Most promising first, so that the rest can be seen to have no chance.
_CANDIDATES = (
    _Candidate(ONNXRUNTIME, 0.15, 0.0, 0.2, 0.002, 0.01),
    _Candidate(FOLDED_BFLOAT16, 0.12, 1e-3, 0.05, 0.001, 0.003),
    _Candidate(FOLDED, 0.45, 0.0, 0.05, 0.001, 0.003),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trial found out about one executor.

    Args:
        name: of the executor.
        prepare_s: seconds to make it.
        batch_s: seconds a batch.
        error: largest relative L2 distance of a row from plain PyTorch in float32.
        rows_independent: a row has the same bits whatever its place and the rows beside it.
        why_not: why it was not chosen or not even tried; "" for the one that was chosen.
    """

    name: str
    prepare_s: float | None = None
    batch_s: float | None = None
    error: float | None = None
    rows_independent: bool | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """An executor for a network on this machine.

    Args:
        executor: its name.
        batch_size: rows a batch, always.
        up_to_images: largest number of images it is right for; None for any: nothing was left untried for want of work.
        measured: what the trial found; empty where there was too little work for one.
    """

    executor: str
    batch_size: int = BATCH_SIZE
    up_to_images: int | None = None
    measured: tuple[Measured, ...] = ()

    def covers(self, n_images: int) -> bool:
        """Say whether the choice holds for so many images."""
        return self.up_to_images is None or n_images <= self.up_to_images

    def to_plain(self) -> dict[str, Any]:
        """Return the choice as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Choice":
        """Read what `to_plain` returned.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        measured = tuple(Measured(**entry) for entry in values["measured"])
        name, batch_size, up_to = values["executor"], int(values["batch_size"]), values["up_to_images"]
        if name not in NAMES or batch_size < 1:
            raise ValueError(f"no executor {name!r} with batches of {batch_size}")
        return cls(name, batch_size, None if up_to is None else int(up_to), measured)


def small_work(network: nn.Module, example: Tensor) -> int:
    """Return the number of images up to which a trial cannot pay: PyTorch is through before it ends.

    Args:
        network: one tensor in.
        example: (1, ...), a row of its input.
    """
    return int(SMALL_WORK_FLOPS / max(n_operations(network, example), 1))


def choose(
    network: nn.Module, sample: Tensor, n_images: int, now: Callable[[], float], tolerance: float = TOLERANCE
) -> tuple[Choice, Run]:
    """Measure executors on a sample and return the one that ends soonest, ready to run.

    PyTorch as it is runs first; every other executor is made only if what it can save on `n_images` is more than what
    trying it costs. One that errs by more than `tolerance`, or whose rows depend on their neighbours, is not chosen.

    Args:
        network: one tensor in, one tensor (N, ...) out.
        sample: (N, ...), N at least 1: real rows of its input, on its device; `BATCH_SIZE` of them are used.
        n_images: how many rows will be run, at least 1.
        now: a clock, seconds.
        tolerance: largest allowed relative L2 distance of a row from plain PyTorch in float32.

    Returns:
        The choice, and the executor.
    """
    batch = torch.cat([sample] * math.ceil(BATCH_SIZE / len(sample)))[:BATCH_SIZE]
    plain = _plain(network, batch[:_N_COMPARED])
    best_run = prepare(EAGER, network, batch[:1])
    eager = best = _timed(Measured(EAGER, 0.0), best_run, batch, plain, now)
    others, pays_from = [], []
    for candidate in _CANDIDATES:
        why_not = _hopeless(network, candidate, best, eager, tolerance)
        saved_s = _seconds(best) - candidate.best_case * _seconds(eager)
        cost_s = candidate.cost_s(network, _seconds(eager))
        if not why_not and math.ceil(n_images / BATCH_SIZE) * saved_s <= cost_s:
            pays_from.append(cost_s / saved_s)
            why_not = f"costs more than it can save on {n_images} images"
        untried = (None, Measured(candidate.name, why_not=why_not))
        run, found = untried if why_not else _tried(candidate.name, network, batch, plain, now)
        found = found if run is None else replace(found, why_not=_drawback(found, best, tolerance))
        if run is None or found.why_not:
            others.append(found)
        else:
            others.append(replace(best, why_not=f"slower than {found.name}" if best.rows_independent else _DEPENDENT))
            best, best_run = found, run
    up_to = math.floor(min(pays_from) * BATCH_SIZE) if pays_from else None
    return Choice(best.name, BATCH_SIZE, up_to, (best, *others)), best_run


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return the largest relative L2 distance of a row.

    Args:
        found: float (N, ...).
        expected: the same shape.
    """
    distance = (found.double() - expected.double()).flatten(1).norm(dim=1)
    length = expected.double().flatten(1).norm(dim=1)
    return float((distance / length.clamp_min(1e-12)).max())


def _hopeless(network: nn.Module, candidate: _Candidate, best: Measured, eager: Measured, tolerance: float) -> str:
    """Say why an executor need not be tried however many images there are; "" when it may win."""
    if candidate.least_error > tolerance:
        return f"its error is above the tolerance of {tolerance:g}"
    if candidate.name in _NEEDS_NORMS and not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return "there are no batch norms to fold"
    if best.rows_independent and _seconds(best) <= candidate.best_case * _seconds(eager):
        return f"cannot be faster than {best.name}"
    return ""


def _tried(
    name: str, network: nn.Module, batch: Tensor, plain: Tensor, now: Callable[[], float]
) -> tuple[Run | None, Measured]:
    """Make an executor and measure it; None where it cannot run this network."""
    started = now()
    try:
        run = prepare(name, network, batch[:1])
    except UnavailableError as error:
        return None, Measured(name, why_not=str(error))
    return run, _timed(Measured(name, now() - started), run, batch, plain, now)


def _timed(made: Measured, run: Run, batch: Tensor, plain: Tensor, now: Callable[[], float]) -> Measured:
    """Run once to warm up, then timed, half of the rows in other places and beside others; the shorter time counts."""
    half = len(batch) // 2
    moved = torch.cat((batch[half:], torch.zeros_like(batch[:half])))
    first, seconds, independent = run(batch), [], True
    for _ in range(_N_TIMED):  # another process may disturb one of them
        started = now()
        second = run(moved)
        seconds.append(now() - started)
        independent = independent and torch.equal(first[half:], second[: len(batch) - half])
    error = relative_error(first[: len(plain)], plain)
    return replace(made, batch_s=min(seconds), error=error, rows_independent=independent)


def _drawback(found: Measured, best: Measured, tolerance: float) -> str:
    """Say why an executor that runs is not to be chosen; "" when it is."""
    if found.error is None or not found.error <= tolerance:
        return f"its error is above the tolerance of {tolerance:g}"
    if not found.rows_independent:
        return _DEPENDENT
    slower = best.rows_independent and _seconds(found) >= _CLEARLY * _seconds(best)
    return f"not clearly faster than {best.name}" if slower else ""


def _seconds(measured: Measured) -> float:
    return math.inf if measured.batch_s is None else measured.batch_s


def _plain(network: nn.Module, rows: Tensor) -> Tensor:
    """Return what PyTorch makes of rows as they are, contiguous in memory, in float32."""
    with evaluating(network), torch.inference_mode():
        made: Tensor = network(rows.contiguous())
        return made.float().cpu()
