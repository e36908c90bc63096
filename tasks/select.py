"""The stage `select`: every candidate scored on the training rows, the best one first."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from tasks.examples import chosen_rows
from tasks.handoffs import RANKING
from tasks.memory import gains_of
from tasks.params import read_params
from tasks.ranking_table import show_ranking
from tasks.scoring import Outcome, Pool, gathered, in_question, labels_of_rows, pixels_of
from tasks.stage import observe
from tasks.step import step
from transfer.errors import UserError
from transfer.records import CandidateCost, CandidateScore, Row

if TYPE_CHECKING:
    from transfer.selection.trials import Tried

PICTURE, PARETO = RANKING.with_suffix(".png"), RANKING.with_name("accuracy_by_latency.png")
MADE_FROM = {"manifest": MANIFEST, "quarantine": QUARANTINE}
COSTS = "costs"  # in observed.json


@step
def gather() -> Pool:
    """Return the candidates and the rows they are scored on.

    Raises:
        UserError: a reference, an architecture or an option is unknown.
    """
    params, manifest = read_params(), read_manifest()
    train_rows = manifest.of_split("train")
    return gathered(params, chosen_rows(train_rows, params.select.max_rows), len(train_rows), len(manifest.classes))


@step
def rank_candidates(pool: Pool, outcomes: Sequence[Outcome], tried: "Tried | None") -> None:
    """Write the ranking of what could be scored, and why the rest could not.

    Args:
        pool: what `gather` returned.
        outcomes: of its candidates.
        tried: what trials of the best of them came to, see `tasks.trials`.

    Raises:
        UserError: no candidate could be scored, or none is within the limits.
        EnvironmentFault: memory is too small for any of them.
    """
    from transfer.selection.ranking import explain, floor, rank

    settings, labels, able = pool.params.select, labels_of_rows(pool.rows), in_question(pool, outcomes)
    scores = [outcome.scored for outcome in able if outcome.scored is not None]
    gains, n_runs = gains_of([one.score for one in scores], settings)
    ranked = rank(scores, labels, settings.confidence, [outcome.beyond for outcome in able], tried, gains)
    failed = sorted(
        (one for one in outcomes if one.scored is None), key=lambda one: settings.candidates.index(one.reference)
    )
    pixels = floor(pixels_of(pool), labels, settings.confidence)
    why = explain(ranked, pixels, settings.confidence, n_runs) + _left_out(failed)
    rows = [_failure(outcome) for outcome in failed]
    said = _before_training(ranked, pixels, able, settings.confidence)
    payload = {
        "candidates": [asdict(score) for score in ranked],
        "failed": rows,
        "winner": ranked[0].reference,
        "strategy": ranked[0].strategy or settings.strategies[0],
        "why": why,
        "pixel_baseline": asdict(pixels),
        **said,
        "n_remembered_runs": n_runs,
    }
    write_json(RANKING, payload, MADE_FROM)
    costs = _costs(able)
    observe(COSTS, {reference: asdict(cost) for reference, cost in costs.items()})
    show_ranking(ranked, costs, rows)
    print(why, *(f"Warning: {text}" for text in said["early_warnings"]), sep="\n")


def _before_training(
    ranked: Sequence[CandidateScore], pixels: CandidateScore, able: Sequence[Outcome], confidence: float
) -> dict[str, Any]:
    """Return what speaks against the best candidate before it is trained; nothing where its weights are random."""
    from transfer.backbones.reference import BackboneReference
    from transfer.evaluation.early import early_warnings

    best, *others = ranked
    distance = next(one.distance for one in able if one.reference == best.reference)
    random = [asdict(one) for one in others if BackboneReference.parse(one.reference).is_random]
    is_random = BackboneReference.parse(best.reference).is_random
    warnings = () if is_random else early_warnings(asdict(best), asdict(pixels), random, distance, confidence)
    return {"proxy_a_distance": distance, "early_warnings": list(warnings)}


def _failure(outcome: Outcome) -> dict[str, Any]:
    """Return what the ranking says of a candidate that could not be scored; a machine too small stays so."""
    can_be_mended = isinstance(outcome.error, UserError)
    return {"reference": outcome.reference, "why": str(outcome.error), "can_be_mended": can_be_mended}


def _left_out(failed: Sequence[Outcome]) -> str:
    return "".join(f" {outcome.reference} could not be scored: {outcome.error}" for outcome in failed)


@step
def draw(outcomes: Sequence[Outcome]) -> None:
    """Draw the ranking, and accuracy against latency.

    Args:
        outcomes: of the candidates.
    """
    from adapters.pictures import draw_ranking
    from adapters.tradeoff_picture import draw_tradeoff

    ranking, settings = read_ranking(), read_params().select
    rows = [CandidateScore.from_plain(row) for row in (*ranking["candidates"], ranking["pixel_baseline"])]
    draw_ranking(PICTURE, rows, settings.confidence)
    draw_tradeoff(PARETO, rows[:-1], _costs(outcomes), settings.confidence, settings.max_latency_ms)


@step
def record(outcomes: Sequence[Outcome]) -> None:
    """Record the stage as an MLflow run.

    Args:
        outcomes: of the candidates.
    """
    from adapters.mlflow_runs import stage_run

    params, ranking = read_params().select, read_ranking()
    seconds, costs = {one.reference: one.seconds for one in outcomes}, _costs(outcomes)
    distances = {one.reference: {"proxy_a_distance": one.distance} for one in outcomes if one.distance is not None}
    with stage_run("select") as run:
        run.params({"select.candidates": ", ".join(params.candidates), "select.max_rows": params.max_rows})
        run.params({"select.knn_k": params.knn_k, "winner": ranking["winner"]})
        best = ranking["candidates"][0]
        run.metrics({"expected_accuracy": best["accuracy"]["value"], "n_rows": best["n_rows"]})
        run.metrics({"n_remembered_runs": ranking["n_remembered_runs"]})
        run.metrics({"pixel_baseline": ranking["pixel_baseline"]["accuracy"]["value"]})
        for place, ranked in enumerate(ranking["candidates"], start=1):
            reference = ranked["reference"]
            run.params({f"candidate_{place}": reference, f"candidate_{place}.licence": ranked["licence"] or "unknown"})
            figures = _figures(ranked) | asdict(costs[reference]) | {"seconds": seconds[reference]}
            figures |= distances.get(reference, {})
            run.metrics({f"candidate_{place}.{name}": value for name, value in figures.items()})
        for place, failed in enumerate(ranking["failed"], start=1):
            run.params({f"failed_{place}": failed["reference"], f"failed_{place}.why": failed["why"]})
        for artifact in (PICTURE, PARETO, RANKING):
            run.artifact(artifact, "select")


def _costs(outcomes: Sequence[Outcome]) -> dict[str, CandidateCost]:
    return {outcome.reference: outcome.cost for outcome in outcomes if outcome.cost is not None}


def _figures(ranked: Mapping[str, Any]) -> dict[str, float]:
    """Return what is known of a candidate, by name, without what is not defined for it."""
    figures = {f"expected_accuracy_{bound}": ranked["accuracy"][bound] for bound in ("low", "high")}
    figures |= {"expected_accuracy": ranked["accuracy"]["value"]} | ranked["other_scores"]
    names = ("gain", "probability_best", "ridge_loo_accuracy", "ridge_loo_error", "knn_loo_accuracy", "imagenet_top1")
    figures |= {name: ranked[name] for name in names}
    return {name: value for name, value in figures.items() if value is not None}


def read_ranking() -> dict[str, Any]:
    """Read the ranking, made from the manifest that is there now."""
    return read_json(RANKING, made_from=MADE_FROM)


def training_rows(max_rows: int) -> tuple[Row, ...]:
    """Return the training rows, at most `max_rows`: each class by its share."""
    return chosen_rows(read_manifest().of_split("train"), max_rows)
