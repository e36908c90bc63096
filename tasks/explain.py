"""The stage `explain`: what in an image spoke for an answer, whether such maps can be trusted, and what is alike."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapters.json_files import read_json, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.model_files import WEIGHTS, load_model
from tasks.alike import Alike
from tasks.explained import (
    PICTURES_OF_A_PAIR,
    Answer,
    Pair,
    confident_errors,
    confused_pairs,
    read_answers,
    right_answers,
    rows_of,
)
from tasks.handoffs import EXPLANATIONS, EXPLANATIONS_PICTURE, MODEL, PREDICTIONS
from tasks.mapped import Mapped, mapped
from tasks.params import Params, read_params
from tasks.step import step

if TYPE_CHECKING:
    from transfer.records import Preprocess

PICTURES = EXPLANATIONS.with_name("pictures")
_NEAREST_OF = "the training images, by cosine similarity of the {} features"
_MOST_STRIPS = 8  # of the montage


@step
def explain() -> None:
    """Map the answers that are worth a look, check the maps, find what is alike; write the record and its pictures.

    Raises:
        UserError: the model, the answers or an image is missing, or the method does not suit the model.
    """
    params = read_params()
    classifier, card = load_model(MODEL)
    answers = read_answers(PREDICTIONS)
    errors = confident_errors(answers, params.explain.errors)
    right = right_answers(answers, params.explain.right)
    found = mapped(classifier, card.classes, (*errors, *right), params)
    alike = Alike.of(classifier, found.rows, read_manifest(), params)
    shutil.rmtree(PICTURES, ignore_errors=True)
    shown = [
        *(_shown(found, alike, place, f"e{place:03d}") for place in range(len(errors))),
        *(_shown(found, alike, len(errors) + place, f"r{place:03d}") for place in range(len(right))),
    ]
    maps = found.plain()
    record = {
        "maps": maps,
        "confused_pairs": _pairs(confused_pairs(answers), shown[: len(errors)], card.preprocess, params),
        "confident_errors": shown[: len(errors)],
        "examples": shown[len(errors) :],
        "nearest_of": _NEAREST_OF.format("frozen" if alike.is_frozen else "fine-tuned"),
    }
    made_from = {"manifest": MANIFEST, "quarantine": QUARANTINE, "model": MODEL / WEIGHTS, "predictions": PREDICTIONS}
    write_json(EXPLANATIONS, record, made_from)
    print(" ".join(f"{one['method']}: {one['sanity']['sentence']}" for one in maps))


@step
def draw() -> None:
    """Join the first strips into one picture, for MLflow and `dvc plots`."""
    from adapters.explanation_pictures import draw_montage

    record = read_json(EXPLANATIONS)
    errors, right = record["confident_errors"], record["examples"]
    n_errors = min(len(errors), max(_MOST_STRIPS // 2, _MOST_STRIPS - len(right)))
    chosen = [*errors[:n_errors], *right[: _MOST_STRIPS - n_errors]]
    draw_montage(EXPLANATIONS_PICTURE, [EXPLANATIONS.parent / one["picture"] for one in chosen])


@step
def record() -> None:
    """Record the stage as an MLflow run."""
    from adapters.mlflow_runs import stage_run

    found = read_json(EXPLANATIONS)
    with stage_run("explain") as run:
        run.params({f"explain.{key}": value for key, value in read_params().explain.model_dump().items()})
        run.metrics(_figures(found))
        run.tags({f"check.{one['method']}": one["sanity"]["sentence"] for one in found["maps"]})
        run.artifact(EXPLANATIONS, "explain")
        run.artifact(EXPLANATIONS_PICTURE, "explain")


def _shown(found: Mapped, alike: Alike, place: int, name: str) -> dict[str, Any]:
    """Draw an answer and what is alike; return what the record says of it."""
    from adapters.explanation_pictures import draw_strip, draw_thumbnail

    answer, picture = found.answers[place], f"{PICTURES.name}/{name}.png"
    draw_strip(PICTURES / f"{name}.png", found.pixels[place], _headline(answer), found.panels(place))
    nearest = []
    for one in alike.to(place):
        thumbnail = PICTURES / f"n{one.sha256[:12]}.png"
        if not thumbnail.is_file():
            draw_thumbnail(thumbnail, one.pixels)
        entry = {"path": one.path, "class": one.class_name, "similarity": round(one.similarity, 4)}
        nearest.append({**entry, "picture": f"{PICTURES.name}/{thumbnail.name}"})
    return {
        "path": answer.path,
        "actual": answer.actual,
        "predicted": answer.predicted,
        "probability": answer.probability,
        "picture": picture,
        "checks": found.checks(place),
        "nearest": nearest,
    }


def _headline(answer: Answer) -> str:
    if answer.actual == answer.predicted:
        return f"{answer.actual}, rightly, with probability {answer.probability:.2f}"
    return f"{answer.actual}, taken for {answer.predicted} with probability {answer.probability:.2f}"


def _pairs(
    pairs: Sequence[Pair], explained: Sequence[dict[str, Any]], preprocess: "Preprocess", params: Params
) -> list[dict[str, Any]]:
    """Return what the record says of confused pairs; images that are not explained are drawn alone."""
    from adapters.explanation_pictures import draw_thumbnail
    from tasks.examples import prepared

    picture_of = {one["path"]: one["picture"] for one in explained}
    shown = [answer for pair in pairs for answer in pair.answers[:PICTURES_OF_A_PAIR]]
    alone = [answer for answer in shown if answer.path not in picture_of]
    pixels = prepared(params.data.path, rows_of(alone, params.data.path), preprocess).inputs.permute(0, 2, 3, 1).numpy()
    for place, answer in enumerate(alone):
        picture_of[answer.path] = f"{PICTURES.name}/p{place:03d}.png"
        draw_thumbnail(PICTURES / f"p{place:03d}.png", pixels[place])
    return [
        {
            "actual": pair.actual,
            "predicted": pair.predicted,
            "n": len(pair.answers),
            "share": round(pair.share, 6),
            "pictures": [picture_of[answer.path] for answer in pair.answers[:PICTURES_OF_A_PAIR]],
        }
        for pair in pairs
    ]


def _figures(found: dict[str, Any]) -> dict[str, float]:
    """Return what MLflow draws: how alike maps by random weights are, and how many maps pass."""
    figures: dict[str, float] = {"confused_pairs": len(found["confused_pairs"])}
    for one in found["maps"]:
        name, sanity = one["method"].replace("-", "_"), one["sanity"]
        figures |= {f"{name}_{key}": sanity[key] for key in ("similarity", "low", "high") if sanity[key] is not None}
        figures[f"{name}_passed"] = float(sanity["passed"])
        if one["share_passed"] is not None:
            figures[f"{name}_share_passed"] = one["share_passed"]
    return figures
