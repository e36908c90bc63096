"""The stage `select`: every candidate scored on the training rows, the best one first."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from tasks.examples import prepared
from tasks.params import Params, read_params
from tasks.progress import progress
from tasks.step import step
from transfer.records import CandidateScore, Preprocess, Row

if TYPE_CHECKING:
    from transfer.data.examples import Examples

RANKING = Path("artifacts/select/ranking.json")
PICTURE = Path("artifacts/select/ranking.png")
MADE_FROM = {"manifest": MANIFEST, "quarantine": QUARANTINE}
_RANDOM_SEED = 0  # of candidates with random weights


@step
def rank_candidates() -> None:
    """Score every candidate on the same training rows and write the ranking.

    Raises:
        UserError: a reference or its weights are at fault, or there are too few training rows.
    """
    from transfer.selection.ranking import explain, rank, score_pixels

    params = read_params()
    rows = training_rows(params.select.max_rows)
    loaded: dict[Preprocess, Examples] = {}
    scores = [_score(reference, rows, params, loaded) for reference in params.select.candidates]
    examples = next(iter(loaded.values()))
    pixels = score_pixels(examples.inputs, examples.labels, params.select.knn_k)
    ranked = rank(scores)
    why = explain(ranked, pixels)
    payload = {
        "candidates": [asdict(score) for score in ranked],
        "winner": ranked[0].reference,
        "why": why,
        "pixel_baseline": asdict(pixels),
    }
    write_json(RANKING, payload, MADE_FROM)
    print(why)


@step
def draw() -> None:
    """Draw the ranking."""
    from adapters.pictures import draw_ranking

    ranking = read_ranking()
    draw_ranking(PICTURE, [CandidateScore(**row) for row in (*ranking["candidates"], ranking["pixel_baseline"])])


@step
def record() -> None:
    """Record the stage as an MLflow run."""
    from adapters.mlflow_runs import stage_run

    params, ranking = read_params().select, read_ranking()
    with stage_run("select") as run:
        run.params({"select.candidates": ", ".join(params.candidates), "select.max_rows": params.max_rows})
        run.params({"select.knn_k": params.knn_k, "winner": ranking["winner"]})
        best = ranking["candidates"][0]
        run.metrics({key: best[key] for key in ("score", "knn_loo_accuracy", "ridge_loo_accuracy", "n_rows")})
        run.metrics({"pixel_baseline": ranking["pixel_baseline"]["score"]})
        run.artifact(PICTURE, "select")
        run.artifact(RANKING, "select")


def read_ranking() -> dict[str, "object"]:
    """Read the ranking, made from the manifest that is there now."""
    return read_json(RANKING, made_from=MADE_FROM)


def training_rows(max_rows: int) -> tuple[Row, ...]:
    """Return the training rows, at most `max_rows`, each class by its share, chosen by content so that reruns agree.

    Raises:
        UserError: there are fewer than two rows.
    """
    rows = read_manifest().of_split("train")
    if len(rows) <= max_rows:
        return rows
    by_class: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.sha256):
        by_class.setdefault(row.label, []).append(row)
    share = max_rows / len(rows)
    return tuple(
        row for label in sorted(by_class) for row in by_class[label][: max(2, round(share * len(by_class[label])))]
    )


def _score(text: str, rows: Sequence[Row], params: Params, loaded: "dict[Preprocess, Examples]") -> CandidateScore:
    from adapters.weights_files import load_weights
    from transfer.backbones.build import build_backbone
    from transfer.backbones.features import extract_features
    from transfer.backbones.reference import BackboneReference
    from transfer.selection.ranking import score_features

    reference = BackboneReference.parse(text)
    recorded = params.select.weights_sha256.get(reference.weights_file or "")
    weights = load_weights(reference, recorded)
    backbone = build_backbone(reference, weights.state_dict, seed=_RANDOM_SEED, weights_name=weights.name)
    if backbone.preprocess not in loaded:
        loaded[backbone.preprocess] = prepared(params.data.path, rows, backbone.preprocess)
    examples = loaded[backbone.preprocess]
    with progress(f"features of {reference.arch}", total=len(rows)) as bar:
        features = extract_features(backbone, examples.inputs, advance=bar.advance)
    return score_features(features, examples.labels, params.select.knn_k, text, backbone.n_parameters(), weights.sha256)
