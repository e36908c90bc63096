"""How sure the model may be: its temperature before and after, and sets of classes that hold the right one."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adapters.held_out_file import HeldOut, read_held_out
from adapters.json_files import write_json
from adapters.model_files import WEIGHTS
from tasks.handoffs import CALIBRATION, HELD_OUT, MODEL
from tasks.tested import Tested, named, rounded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LEFT_OUT = (
    "each validation image as the fit to all others answers it: the head of the model was fitted to these images too, "
    "and its own answers to them would be too good"
)
_OWN = (
    "the answers of the model to the validation images, which no weight was fitted to; they chose which steps were kept"
)


def calibrate(rows: Tested) -> tuple[dict[str, float], dict[str, list[list[int]]]]:
    """Write what temperature and sets of classes do on the test rows.

    Returns:
        What metrics.json holds of it; and method -> the classes that the set of each row holds.

    Raises:
        UserError: the validation rows' logits are missing, or belong to another model.
    """
    from transfer.evaluation.curves import reliability, risk_coverage

    held_out = read_held_out(HELD_OUT, {"model": MODEL / WEIGHTS})
    temperature = _temperature(rows, held_out)
    metrics: dict[str, float] = {}
    sets: dict[str, list[list[int]]] = {}
    conformal: dict[str, dict[str, Any]] = {}
    for method in _methods():
        conformal[method], held = _sets(rows, held_out, method)
        sets[method] = [row.nonzero()[0].tolist() for row in held]
        metrics |= named(f"{method}_coverage", conformal[method]["coverage"])
        metrics[f"{method}_size"] = rounded(conformal[method]["mean_size"])
        conformal[method]["coverage"] = asdict(conformal[method]["coverage"])
    before = {name: temperature[name] for name in ("nll_untempered", "ece_untempered")}
    metrics |= {name: value for name, value in before.items() if value is not None}
    confidence = rows.settings.confidence
    curves = {
        "reliability": [asdict(one) for one in reliability(rows.actual, rows.probabilities, confidence)],
        "risk_coverage": [asdict(one) for one in risk_coverage(rows.actual, rows.probabilities, confidence)],
    }
    known = {"n_rows": len(held_out.labels), "how": _LEFT_OUT if held_out.left_out else _OWN}
    record = {"validation": known, "temperature": temperature, "sets": conformal, **curves}
    write_json(CALIBRATION, record, {"held_out": HELD_OUT})
    return metrics, sets


def _methods() -> Sequence[str]:
    from transfer.metrics.conformal import METHODS

    return tuple(METHODS)


def _temperature(rows: Tested, held_out: HeldOut) -> dict[str, float | None]:
    """Return figures of the test rows without the temperature, as the model is, and under one more temperature.

    The model's own temperature was fitted when it was made; `left_over` is the inverse temperature that the validation
    rows still ask for, which is applied to nothing but the figures beside it.
    """
    from transfer.metrics.temperature import calibrated

    left_over, _ = calibrated(held_out.logits.double(), held_out.labels)
    found: dict[str, float | None] = {"inverse": held_out.sharpness, "left_over": rounded(left_over)}
    untempered = None if held_out.sharpness is None else 1 / held_out.sharpness
    for name, factor in (("untempered", untempered), ("as_it_is", 1.0), ("under_left_over", left_over)):
        found |= _figures(rows, name, factor)
    return found


def _figures(rows: Tested, name: str, factor: float | None) -> dict[str, float | None]:
    """Return figures of the test rows with their logits multiplied; None where the factor is not known."""
    import numpy as np
    from scipy.special import softmax

    from transfer.metrics.classification import expected_calibration_error, negative_log_likelihood

    if factor is None:
        return {f"nll_{name}": None, f"ece_{name}": None}
    shares = softmax(factor * np.log(np.clip(rows.probabilities, 1e-300, None)), axis=1)
    return {
        f"nll_{name}": rounded(negative_log_likelihood(rows.actual, shares)),
        f"ece_{name}": rounded(expected_calibration_error(rows.actual, shares)),
    }


def _sets(rows: Tested, held_out: HeldOut, method: str) -> "tuple[dict[str, Any], NDArray[np.bool_]]":
    """Return how the sets of the test rows do, and which classes they hold, bool (N, C)."""
    import numpy as np

    from transfer.metrics.conformal import coverage_by_chance, sets
    from transfer.metrics.intervals import wilson_interval

    settings = rows.settings
    known = held_out.labels.numpy(), held_out.logits.double().softmax(1).numpy()
    limit, held = sets(method, known, rows.probabilities, settings.set_error, settings.seed)
    right, sizes = held[np.arange(len(rows.actual)), rows.actual], held.sum(axis=1)
    of_classes = [right[rows.actual == label] for label in range(len(rows.classes))]
    worst = min(range(len(of_classes)), key=lambda label: float(of_classes[label].mean()))
    return {
        "asked": 1 - settings.set_error,
        "threshold": limit if np.isfinite(limit) else None,  # None: too few validation rows, every set holds all
        "coverage": wilson_interval(int(right.sum()), len(right), settings.confidence),
        "coverage_by_chance": coverage_by_chance(len(known[0]), len(right), settings.set_error, settings.confidence),
        "mean_size": float(sizes.mean()),
        "empty": float((sizes == 0).mean()),
        "of_one_class": float((sizes == 1).mean()),
        "least_covered_class": {"class": rows.classes[worst], "coverage": float(of_classes[worst].mean())},
    }, held
