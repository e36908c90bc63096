"""How often the test images were asked about a model, and what may still be claimed after that."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.json_files import sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE
from adapters.model_files import WEIGHTS
from adapters.sealed_labels import looks_at
from tasks.handoffs import LOOKS, MODEL
from tasks.judging import judged
from tasks.measures import compared
from tasks.stage import observe
from tasks.tested import Tested
from transfer.records import Interval

if TYPE_CHECKING:
    from transfer.evaluation.slices import Slice


def write_looks(rows: Tested, slices: "Sequence[Slice]") -> str:
    """Write how many models the test images were asked about, and what holds for all of them together.

    Of the best of many models a figure is too good: with each look the chance grows that one of the intervals misses.
    At a confidence of 1 - (1 - c) / n all n of them hold together with confidence c (Bonferroni).

    Args:
        rows: what was tested; its look is in the ledger.
        slices: of it.

    Returns:
        A sentence; "" where no other model was asked about.

    Raises:
        EnvironmentFault: the ledger cannot be read.
    """
    looks = looks_at(Path.cwd(), rows.rows)
    n_models = len({look.model_sha256 for look in looks if look.chosen})
    observe("n_looks", len(looks))  # in the record a repeated look at the same model would make later stages stale
    record = {
        "model_sha256": sha256_of(MODEL / WEIGHTS),
        "test_set": looks[-1].test_set,
        "n_models": n_models,
        **_together(rows, slices, n_models),
    }
    write_json(LOOKS, record, {"manifest": MANIFEST, "quarantine": QUARANTINE, "weights": MODEL / WEIGHTS})
    return str(record["sentence"]) if n_models > 1 else ""


def _together(rows: Tested, slices: "Sequence[Slice]", n_models: int) -> dict[str, Any]:
    """Return what holds for all models together that the test rows were asked about."""
    from transfer.evaluation.comparison import accuracy_interval
    from transfer.evaluation.slices import worst
    from transfer.metrics.multiplicity import bonferroni

    settings = rows.settings
    confidence = bonferroni(settings.confidence, n_models)
    widened = replace(rows, settings=settings.model_copy(update={"confidence": confidence}))
    accuracy = accuracy_interval(rows.actual, rows.predicted(), confidence, rows.groups)
    lowest = worst(slices, confidence)
    verdict, *_ = judged(widened, compared(widened))
    return {
        "confidence": confidence,
        "accuracy": asdict(accuracy),
        "worst_slice": None if lowest is None else asdict(lowest[1]),
        "verdict": {"verdict": verdict.verdict, "sentence": verdict.sentence},
        "sentence": _sentence(n_models, settings.confidence, accuracy, verdict.verdict),
    }


def _sentence(n_models: int, confidence: float, accuracy: Interval, verdict: str) -> str:
    if n_models == 1:
        return "The test images were asked about this model alone, so that every figure holds as it stands."
    return (
        f"The test images were asked about {n_models} models; what holds for all of them together, at "
        f"{100 * confidence:g} %: accuracy {accuracy.value:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f}), and the "
        f"verdict is {verdict}."
    )
