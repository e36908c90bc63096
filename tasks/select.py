"""The stage `select`: every candidate scored on the training rows, the best one first."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from tasks.candidates import candidate
from tasks.examples import chosen_rows, prepared
from tasks.features import features_of
from tasks.handoffs import RANKING
from tasks.params import Params, read_params
from tasks.step import step
from transfer.records import CandidateScore, Preprocess, Row

if TYPE_CHECKING:
    from transfer.backbones.backbone import Backbone
    from transfer.data.examples import Examples
    from transfer.selection.ranking import Scored

PICTURE = RANKING.with_suffix(".png")
MADE_FROM = {"manifest": MANIFEST, "quarantine": QUARANTINE}


@step
def rank_candidates() -> dict[str, float]:
    """Score every candidate on the same training rows and write the ranking.

    Returns:
        Candidate -> seconds its score took; the first of each image size also waits for what must be decoded.

    Raises:
        UserError: a reference or its weights are at fault, or there are too few training rows.
    """
    import torch

    from transfer.selection.ranking import explain, floor, rank

    params = read_params()
    rows, confidence = training_rows(params.select.max_rows), params.select.confidence
    labels = torch.tensor([row.label for row in rows], dtype=torch.int64)
    scores, by_pixels, seconds = _scores(params, rows)
    ranked = rank([scores[reference] for reference in params.select.candidates], labels, confidence)
    pixels = floor(by_pixels, labels, confidence)
    why = explain(ranked, pixels, confidence)
    payload = {
        "candidates": [asdict(score) for score in ranked],
        "winner": ranked[0].reference,
        "why": why,
        "pixel_baseline": asdict(pixels),
    }
    write_json(RANKING, payload, MADE_FROM)
    print(why)
    return seconds


@step
def draw() -> None:
    """Draw the ranking."""
    from adapters.pictures import draw_ranking

    ranking = read_ranking()
    rows = (*ranking["candidates"], ranking["pixel_baseline"])
    draw_ranking(PICTURE, [CandidateScore.from_plain(row) for row in rows], read_params().select.confidence)


@step
def record(seconds: dict[str, float]) -> None:
    """Record the stage as an MLflow run.

    Args:
        seconds: what `rank_candidates` returned.
    """
    from adapters.mlflow_runs import stage_run

    params, ranking = read_params().select, read_ranking()
    with stage_run("select") as run:
        run.params({"select.candidates": ", ".join(params.candidates), "select.max_rows": params.max_rows})
        run.params({"select.knn_k": params.knn_k, "winner": ranking["winner"]})
        best = ranking["candidates"][0]
        run.metrics({"expected_accuracy": best["accuracy"]["value"], "n_rows": best["n_rows"]})
        run.metrics({"pixel_baseline": ranking["pixel_baseline"]["accuracy"]["value"]})
        for place, ranked in enumerate(ranking["candidates"], start=1):
            run.params({f"candidate_{place}": ranked["reference"]})
            run.metrics({f"candidate_{place}.{name}": value for name, value in _figures(ranked).items()})
            run.metrics({f"candidate_{place}.seconds": seconds[ranked["reference"]]})
        run.artifact(PICTURE, "select")
        run.artifact(RANKING, "select")


def _figures(ranked: Mapping[str, Any]) -> dict[str, float]:
    """Return what is known of a candidate, by name, without what is not defined for it."""
    figures = {f"expected_accuracy_{bound}": ranked["accuracy"][bound] for bound in ("low", "high")}
    figures |= {"expected_accuracy": ranked["accuracy"]["value"]} | ranked["other_scores"]
    names = ("probability_best", "ridge_loo_accuracy", "ridge_loo_error", "knn_loo_accuracy", "imagenet_top1")
    figures |= {name: ranked[name] for name in names}
    return {name: value for name, value in figures.items() if value is not None}


def read_ranking() -> dict[str, Any]:
    """Read the ranking, made from the manifest that is there now."""
    return read_json(RANKING, made_from=MADE_FROM)


def training_rows(max_rows: int) -> tuple[Row, ...]:
    """Return the training rows, at most `max_rows`: each class by its share."""
    return chosen_rows(read_manifest().of_split("train"), max_rows)


def _scores(params: Params, rows: Sequence[Row]) -> "tuple[dict[str, Scored], Scored, dict[str, float]]":
    """Score the candidates of one image size after the other, so that one decoded set is in memory at a time.

    An image size is decoded when the first of its candidates misses features that no stage computed before.

    Returns:
        Candidate -> score; the score of the raw pixels at the smallest size; candidate -> seconds.
    """
    from transfer.selection.ranking import score_pixels

    by_size: dict[tuple[int, int, str], dict[str, Preprocess]] = {}
    for text in params.select.candidates:  # each is built once before any is scored: a mistake shows at once
        preprocess = _built(text, params)[0].preprocess
        by_size.setdefault((preprocess.crop_px, preprocess.resize_px, preprocess.interpolation), {})[text] = preprocess
    scores: dict[str, Scored] = {}
    baselines: list[Scored] = []
    seconds: dict[str, float] = {}
    for _, group in sorted(by_size.items()):
        load = cache(partial(prepared, params.data.path, rows, next(iter(group.values()))))
        if not baselines:
            baselines.append(score_pixels(load().inputs, load().labels, params.select.knn_k))
        for text in group:
            started = time.perf_counter()
            scores[text] = _score(text, rows, load, params)
            seconds[text] = time.perf_counter() - started
    return scores, baselines[0], seconds


def _built(text: str, params: Params) -> "tuple[Backbone, str | None]":
    """Return a candidate and the sha256 of its weights file."""
    from transfer.backbones.reference import BackboneReference

    reference = BackboneReference.parse(text)
    return candidate(reference, params.select.weights_sha256.get(reference.record_key or ""))


def _score(text: str, rows: Sequence[Row], load: "Callable[[], Examples]", params: Params) -> "Scored":
    import torch

    from transfer.selection.ranking import Weights, score_features
    from transfer.selection.scores.prior import known_top1

    backbone, weights_sha256 = _built(text, params)
    shown = f"features of {text.partition('@')[0]}"
    features = features_of(backbone, weights_sha256, params.data.path, rows, shown, lambda: load().inputs)
    labels = torch.tensor([row.label for row in rows], dtype=torch.int64)
    known = Weights(text, backbone.n_parameters(), weights_sha256, known_top1(text, weights_sha256))
    return score_features(features, labels, params.select.knn_k, known)
