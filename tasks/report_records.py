"""What the report is made of: the records that the stages handed on, read once and checked against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters import dvc_lock
from adapters.json_files import read_json, read_plain_json
from adapters.model_files import CARD, WEIGHTS
from adapters.tables import read_table
from tasks.handoffs import (
    CALIBRATION,
    CHAMPION,
    EXPLANATIONS,
    FINETUNE_HISTORY,
    LOOKS,
    METRICS,
    MODEL,
    PER_CLASS,
    PLAN,
    PREDICTIONS,
    RANKING,
    REFERENCE_HISTORY,
    REGISTRATION,
    REPORT,
    SLICES,
    VERDICT,
)
from tasks.mitigation_record import climbed, sentence
from tasks.params import Params, read_params

MEASURED = ("sample", "manifest", "validate", "select", "finetune", "reference", "evaluate", "explain", "register")


@dataclass(frozen=True, slots=True)
class Records:
    """What the stages left, as they wrote it.

    Args:
        params: of the project.
        data_digest: md5 of the data set as DVC has it; None before DVC recorded one.
        validation: of `validate`.
        ranking: of `select`.
        history: of `finetune`.
        plan: of `finetune`.
        reference: history of `reference`.
        metrics: of `evaluate`, as the next three.
        verdict: on the transfer.
        calibration: how sure the model may be.
        slices: where it does worse.
        registration: of `register`.
        card: of the model.
        size_bytes: of the model's weights.
        predictions: a mapping for each test image.
        classes: a mapping for each class.
        explanations: of `explain`.
        looks: how many models the test images were asked about.
        mitigation: what was tried because transfer hurt, in words; "" where nothing was.
        observed: stage -> what it measured when it last ran on this machine; those that measured nothing are missing.
    """

    params: Params
    data_digest: str | None
    validation: Mapping[str, Any]
    ranking: Mapping[str, Any]
    history: Mapping[str, Any]
    plan: Mapping[str, Any]
    reference: Mapping[str, Any]
    metrics: Mapping[str, Any]
    verdict: Mapping[str, Any]
    calibration: Mapping[str, Any]
    slices: Mapping[str, Any]
    registration: Mapping[str, Any]
    card: Mapping[str, Any]
    size_bytes: int
    predictions: Sequence[Mapping[str, str]]
    classes: Sequence[Mapping[str, str]]
    explanations: Mapping[str, Any]
    looks: Mapping[str, Any]
    mitigation: str
    observed: Mapping[str, Mapping[str, Any]]

    @property
    def confidence(self) -> str:
        """Return the confidence of intervals, as text."""
        return f"{100 * self.params.evaluate.confidence:g} %"

    @property
    def model(self) -> str:
        """Return the registered model with its version."""
        return f"{self.registration['name']} version {self.registration['model_version']}"


def read_records(project: Path) -> Records:
    """Read what the stages left.

    Args:
        project: the project's folder.

    Raises:
        UserError: a record is missing, or belongs to another run than the others.
    """
    weights, card = project / MODEL / WEIGHTS, project / MODEL / CARD
    of_model = {"weights": weights, "card": card, "metrics": project / METRICS, "verdict": project / VERDICT}
    return Records(
        params=read_params(project / "params.yaml"),
        data_digest=dvc_lock.data_digest(project),
        validation=read_json(project / REPORT),
        ranking=read_json(project / RANKING),
        history=read_json(project / FINETUNE_HISTORY, {"ranking": project / RANKING}),
        plan=read_plain_json(project / PLAN),
        reference=read_json(project / REFERENCE_HISTORY),
        metrics=read_plain_json(project / METRICS),
        verdict=read_json(project / VERDICT, {"transfer": weights, "ranking": project / RANKING}),
        calibration=read_json(project / CALIBRATION),
        slices=read_json(project / SLICES),
        registration=read_json(project / REGISTRATION, {**of_model, "champion": project / CHAMPION}),
        card=read_plain_json(card),
        size_bytes=weights.stat().st_size,
        predictions=read_table(project / PREDICTIONS),
        classes=read_table(project / PER_CLASS),
        explanations=read_json(project / EXPLANATIONS, {"model": weights}),
        looks=read_json(project / LOOKS, {"weights": weights}),
        mitigation=_mitigation(project),
        observed=_observed(project),
    )


def _mitigation(project: Path) -> str:
    record = climbed(project)
    return "" if record is None else sentence(record)


def _observed(project: Path) -> dict[str, dict[str, Any]]:
    places = {stage: project / "artifacts" / stage / "observed.json" for stage in MEASURED}
    return {stage: read_plain_json(place) for stage, place in places.items() if place.is_file()}
