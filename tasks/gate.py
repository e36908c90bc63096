"""The gate: criteria of params.yaml, the comparison with the champion, and what follows from both."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.json_files import read_json
from adapters.mlflow_aliases import MODEL_TAG, numbered
from adapters.mlflow_registry import Release
from adapters.model_files import CARD, WEIGHTS
from adapters.promotion_ledger import read_ledger
from adapters.promotions import (
    AGAINST_TAG,
    BY_PERSON,
    GATE,
    GATE_TAG,
    NOBODY,
    OUTSIDE,
    ROLLBACK,
    WHY_TAG,
    Move,
    champion,
    move,
    settle,
)
from tasks.compared import identity_of
from tasks.handoffs import CHAMPION, LOOKS, MODEL
from tasks.params_blocks import REQUIRED, RegisterParams
from tasks.stage import observe
from transfer.evaluation import promotion
from transfer.evaluation.promotion import Criteria, Decision, Measured, Paired, Policy
from transfer.metrics.multiplicity import bonferroni
from transfer.records import Interval

_CHANGED = "the champion is another one than it was compared with; `rootstock run` compares again"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said of a version.

    Args:
        decision: what it comes to.
        plain: the same and what it rests on, JSON-able.
        before: version that is the champion; None where there is none.
        against: sha256 of the champion's weights, or `NOBODY`.
    """

    decision: Decision
    plain: dict[str, Any]
    before: str | None
    against: str

    @property
    def tags(self) -> dict[str, str]:
        """Return what the version says of it."""
        return {GATE_TAG: self.decision.outcome, WHY_TAG: self.decision.sentence, AGAINST_TAG: self.against}


def judge(project: Path, release: Release, version: str, settings: RegisterParams) -> Judged:
    """Decide whether a model may become the champion; what was done without Rootstock is written down first.

    Args:
        project: the project's folder.
        release: the model, its figures and its verdict.
        version: that holds it.
        settings: the criteria and the policy.

    Raises:
        UserError: the record of the comparison is missing or was made from another model.
    """
    settle(project)
    made_from = {"weights": project / MODEL / WEIGHTS, "card": project / MODEL / CARD}
    judged = _judged(project, release, version, settings, read_json(project / CHAMPION, made_from=made_from))
    if judged.decision.outcome != promotion.PROMOTE:
        return judged
    needs = _taken_back(project, release) or ("approval is required" if settings.approval == REQUIRED else "")
    if not needs:
        return judged
    left = promotion.incomparable((), f"{needs} (the gate: {judged.decision.sentence.rstrip('.')})")
    return replace(judged, decision=left, plain={**judged.plain, **promotion.plain(left)})


def _judged(
    project: Path, release: Release, version: str, settings: RegisterParams, record: Mapping[str, Any]
) -> Judged:
    """Decide by criteria and by the record of the comparison."""
    found = champion(project, release.name)
    now, before = identity_of(found), None if found is None else found.version
    against = NOBODY if now is None else next(iter(now.values()))
    if before == version:
        kept = Decision(promotion.KEEP, f"Version {version} is the champion already.")
        return Judged(kept, promotion.plain(kept), before, against)
    policy = Policy(settings.promote, settings.confidence, settings.margin)
    failed = promotion.broken(_measured(project, release, settings), _criteria(settings))
    asked = record["champion"] and record["champion"]["identity"]
    if now is not None and now == release.identity:
        decision = promotion.again(failed, policy)
    elif now != asked:
        decision = promotion.incomparable(failed, _CHANGED)
    elif now is None:
        decision = promotion.first(failed, policy)
    elif record["problem"] is not None:
        decision = promotion.incomparable(failed, record["problem"])
    else:
        return _beside(release, record, failed, policy, (before, against))
    return Judged(decision, promotion.plain(decision), before, against)


def _beside(
    release: Release, record: Mapping[str, Any], failed: tuple[str, ...], policy: Policy, who: tuple[str | None, str]
) -> Judged:
    """Decide by what challenger and champion said of the same rows."""
    paired, n_challengers = Paired(**record["paired"]), max(1, record["n_challengers"])
    policy = replace(policy, confidence=bonferroni(policy.confidence, n_challengers))
    standing = promotion.compared(paired, policy)
    smaller = _size_bytes(release) <= promotion.SMALLER * record["size_bytes"]
    decision = _told(promotion.against(failed, standing, policy, smaller), record)
    return Judged(decision, promotion.plain(decision, standing, paired), *who)


def carry_out(project: Path, release: Release, version: str, judged: Judged) -> None:
    """Make a version the champion if that is what the gate said.

    Raises:
        UserError: the champion changed since.
        EnvironmentFault: the registry or the ledger cannot be written.
    """
    if judged.decision.outcome == promotion.PROMOTE:
        why = judged.decision.sentence
        move(project, Move(release.name, judged.before, version, GATE, why, decision=judged.plain))


def _taken_back(project: Path, release: Release) -> str:
    """Return a phrase where a person took the place of this very model away; "" where nobody did since."""
    lines = read_ledger(project).of(release.name)
    digests: dict[str | None, str] = {line.after: line.model_sha256 for line in lines}
    first = lines[0].before if lines else None
    if first is not None and first not in digests:  # the champion of a time before the ledger
        found = numbered(project, release.name, first)
        digests[first] = found.tags.get(MODEL_TAG, "") if found is not None else ""
    own = release.identity[MODEL_TAG]
    left = [line for line in lines if line.before is not None and digests.get(line.before) == own]
    if not left or left[-1].by not in (ROLLBACK, BY_PERSON, OUTSIDE):
        return ""
    last = left[-1]
    who = "somebody" if last.by == OUTSIDE else last.who
    heir = "no version" if last.after is None else f"version {last.after}"
    return f"{who} gave its place to {heir} on {last.time[:10]} ({last.why}), so a person has to promote it"


def _criteria(settings: RegisterParams) -> Criteria:
    names = ("min_accuracy", "min_worst_slice", "max_ece", "max_size_mb", "max_latency_p95_ms")
    return Criteria(**{name: getattr(settings, name) for name in names})


def _measured(project: Path, release: Release, settings: RegisterParams) -> Measured:
    """Return what criteria ask for; accuracy as it holds for all models that the test images were asked about."""
    looks = read_json(project / LOOKS, made_from={"weights": project / MODEL / WEIGHTS})
    figures = release.metrics
    return Measured(
        Interval(**looks["accuracy"]),
        release.tags["verdict_kind"],
        _size_bytes(release) / 1e6,
        None if looks["worst_slice"] is None else Interval(**looks["worst_slice"]),
        figures.get("ece"),
        _latency_ms(release) if settings.max_latency_p95_ms is not None else None,
    )


def _size_bytes(release: Release) -> int:
    return (release.model / WEIGHTS).stat().st_size


def _latency_ms(release: Release) -> float:
    from adapters.model_files import load_model
    from transfer.backbones.speed import latency_p95_s

    found = 1000 * latency_p95_s(load_model(release.model)[0], time.perf_counter)
    observe("latency_p95_ms", round(found, 3))
    return found


def _told(decision: Decision, record: Mapping[str, Any]) -> Decision:
    """Add what has to be known of the rows that were asked about."""
    notes = []
    if record["n_left_out"]:
        notes.append(f"{record['n_left_out']} test images that the champion has learned from were left out")
    if record["n_challengers"] > 1:
        notes.append(
            f"the test images were asked about {record['n_challengers']} models beside the champion, each a chance to "
            f"look better by luck, so that more is asked of each; fresh test images would ask less"
        )
    if not record["seen_known"]:
        notes.append("which images the champion has learned from is not known, which can only favour it")
    if not notes:
        return decision
    return Decision(decision.outcome, f"{decision.sentence} Note: {'; '.join(notes)}.", decision.reasons)
