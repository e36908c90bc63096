"""What a finished model is registered as: read from artifacts/, the same for the stage and for a repair."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters import dvc_lock
from adapters.json_files import read_json, read_plain_json
from adapters.mlflow_registry import Release
from adapters.mlflow_runs import dataset_name
from adapters.model_files import CARD, WEIGHTS
from adapters.promotions import CHALLENGER
from tasks.handoffs import METRICS, MODEL, SEEN, VERDICT
from tasks.licences import WEIGHTS_TAGS
from tasks.origin import TAGS

_NAMED = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "nll", "n_test")  # what a version shows in its tags


def read_release(project: Path, name: str, data_path: str, origin: Mapping[str, str]) -> Release:
    """Read the model, its test figures and the verdict.

    Args:
        project: the project's folder.
        name: of the registered model.
        data_path: as in params.yaml.
        origin: tag -> text, of what the model was made from and with, see `tasks.origin` and `tasks.licences`.

    Raises:
        UserError: an artifact is missing, or the verdict was made from another model.
    """
    verdict = read_json(project / VERDICT, made_from={"transfer": project / MODEL / WEIGHTS})
    figures = {
        key: value for key, value in read_plain_json(project / METRICS).items() if isinstance(value, int | float)
    }
    card = read_plain_json(project / MODEL / CARD)
    accuracy = f"{figures['accuracy']:.4f} ({figures['accuracy_low']:.4f} to {figures['accuracy_high']:.4f})"
    data, digest = dataset_name(data_path, project), dvc_lock.data_digest(project) or "unknown"
    tags = {
        "backbone": str(card["reference"]),
        "data": data,
        "data_digest": digest,
        "accuracy": accuracy,
        "metrics": json.dumps({key: figures[key] for key in _NAMED if key in figures}),
        "verdict": str(verdict["sentence"]),
        "verdict_kind": kind_of(verdict),
        **origin,
    }
    description = _description(tags, card, figures, f"{name}@{CHALLENGER}")
    seen = project / SEEN
    return Release(name, CHALLENGER, project / MODEL, description, tags, figures, seen if seen.is_file() else None)


def kind_of(verdict: Mapping[str, Any]) -> str:
    """Return what a verdict comes to: positive, neutral, negative or inconclusive."""
    helped = {True: "positive", False: "negative", None: "inconclusive"}
    return str(verdict.get("verdict") or helped[verdict.get("transfer_helped")])


def _description(tags: dict[str, str], card: dict[str, Any], figures: dict[str, float], served: str) -> str:
    classes = ", ".join(card["classes"][:20]) + (", ..." if len(card["classes"]) > 20 else "")
    return (
        f"Test accuracy **{tags['accuracy']}** on {figures['n_test']:.0f} images. {tags['verdict']}\n\n"
        f"Backbone `{tags['backbone']}`; data set `{tags['data']}` (`{tags['data_digest']}`); "
        f"{len(card['classes'])} classes: {classes}.\n\n"
        f"Takes whole image files: `mlflow models serve -m {shlex.quote(f'models:/{served}')} --env-manager local`."
    )


def is_origin(tag: str) -> bool:
    """Say whether a tag tells of what a model was made from and with, which a repair must not tell anew."""
    return tag.startswith(WEIGHTS_TAGS) or tag in TAGS
