"""The verdict: did the transfer help, what did each part of the work give, what was there to be seen beforehand."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_json, sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE
from adapters.model_files import WEIGHTS
from tasks.answers import AS_IT_CAME, MODELS, NEAREST, PROBE, UNTRANSFERRED
from tasks.frozen_files import ABOUT
from tasks.handoffs import MODEL, RANKING, REFERENCE_HISTORY, VERDICT
from tasks.history import read_history
from tasks.tested import Tested

if TYPE_CHECKING:
    from transfer.evaluation.comparison import Comparison
    from transfer.evaluation.verdict import Verdict

_STEPS = {
    PROBE: "fine-tuning beyond a linear probe",
    NEAREST: "all training beyond the means of the classes",
    AS_IT_CAME: "all training beyond the pretrained network as it came",
}
_IS_PROBE = (
    "The model is the linear probe: no step of fine-tuning lowered the validation loss beyond noise, so that there is "
    "nothing to compare it with."
)
_DOUBT = (
    "the reference from scratch was still improving, and the pretrained features are not surely better than simple ones"
)
_SCRATCH = "scratch"
_STARVED = (
    "The reference from scratch was still improving when it had seen as many images as the model: more of them might "
    "have made it better."
)

_ALIKE = (
    "The reference {} answers every test image alike: within as many images it has learned nothing, and the gain over "
    "it is one over guessing."
)


def write_verdict(rows: Tested, comparisons: "Mapping[str, Comparison]") -> str:
    """Write the verdict and what it rests on; return it in words.

    Args:
        rows: what was tested.
        comparisons: with every reference, see `tasks.measures.compared`.

    Raises:
        UserError: the ranking is missing.
    """
    settings = rows.settings
    verdict, warnings, caveats = judged(rows, comparisons)
    made_from = {
        "manifest": MANIFEST,
        "quarantine": QUARANTINE,
        "ranking": RANKING,
        "frozen": ABOUT,
        "history": REFERENCE_HISTORY,
    }
    made_from |= {name: folder / WEIGHTS for name, folder in MODELS.items()}
    record = {
        "model_sha256": sha256_of(MODEL / WEIGHTS),
        **asdict(verdict),
        "margin": settings.margin,
        "confidence": settings.confidence,
        "comparisons": {name: asdict(one) for name, one in comparisons.items()},
        "parts": _parts(rows, comparisons),
        "classes": _classes(rows, verdict.against),
        "early_warnings": list(warnings),
        "caveats": list(caveats),
    }
    write_json(VERDICT, record, made_from)
    return " ".join((verdict.sentence, *caveats, *warnings))


def judged(rows: Tested, comparisons: "Mapping[str, Comparison]") -> "tuple[Verdict, tuple[str, ...], tuple[str, ...]]":
    """Return the verdict, what the ranking warned of, and what has to be known of the references.

    Args:
        rows: what was tested.
        comparisons: with every reference, at the confidence of the settings.

    Raises:
        UserError: the ranking is missing.
    """
    from transfer.evaluation.verdict import judge

    settings, pretrained = rows.settings, _is_pretrained()
    against = {name: comparisons[name] for name in UNTRANSFERRED}
    warnings, caveats = tuple(read_json(RANKING)["early_warnings"]) if pretrained else (), _caveats(rows)
    doubt = _DOUBT if _STARVED in caveats and warnings else ""
    verdict = judge(against, settings.confidence, margin=settings.margin, pretrained=pretrained, doubt=doubt)
    return verdict, warnings, caveats


def _parts(rows: Tested, comparisons: "Mapping[str, Comparison]") -> dict[str, str]:
    """Return what each part of the work on pretrained weights gave, in words; empty where there were none."""
    from transfer.evaluation.verdict import reason

    found = {
        name: f"What {what} gave: {reason(comparisons[name], rows.settings.confidence)}."
        for name, what in _STEPS.items()
        if name in comparisons
    }
    return {PROBE: _IS_PROBE, **found} if rows.answers.frozen.model_is_probe else found


def _classes(rows: Tested, against: str) -> list[dict[str, Any]]:
    """Return how the model compares with a reference on every class; claims hold together."""
    from transfer.evaluation.comparison import by_class

    found = by_class(rows.actual, rows.predicted(), rows.predicted(against), rows.settings.confidence, rows.groups)
    return [
        {
            "class": rows.classes[label],
            "n_rows": n_rows,
            "gain": asdict(one.gain),
            "p_value": one.p_value,
            "p_adjusted": one.p_adjusted,
            "better": one.better,
        }
        for label, n_rows, one in found
    ]


def _caveats(rows: Tested) -> tuple[str, ...]:
    alike = [name for name in UNTRANSFERRED if len({*rows.predicted(name).tolist()}) == 1]
    return (*[_STARVED] * _was_still_improving(), *(_ALIKE.format(name) for name in alike))


def _was_still_improving() -> bool:
    """Say whether the last epoch of the reference from scratch had the lowest validation loss of all."""
    epochs = [epoch for epoch in read_history(REFERENCE_HISTORY)[0] if epoch.step_name == _SCRATCH]
    return len(epochs) > 1 and epochs[-1].val_nll <= min(epoch.val_nll for epoch in epochs)


def _is_pretrained() -> bool:
    from adapters.model_files import load_card
    from transfer.backbones.reference import BackboneReference

    card, _ = load_card(MODEL)
    return not BackboneReference.parse(card.reference).is_random
