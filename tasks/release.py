"""What a finished model is registered as: read from artifacts/, the same for the stage and for a repair."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters import dvc_lock
from adapters.json_files import read_json, read_plain_json
from adapters.mlflow_registry import Release, check_name, clean_name
from adapters.mlflow_runs import dataset_name
from adapters.model_files import CARD, WEIGHTS
from tasks.handoffs import METRICS, MODEL, VERDICT
from tasks.params import Params


def model_name(params: Params, project: Path) -> str:
    """Return what the model is registered as: the name in params.yaml, else the data set's, made fit for MLflow.

    Raises:
        UserError: the name in params.yaml cannot be registered.
    """
    if params.register.model_name is None:
        return clean_name(dataset_name(params.data.path, project))
    check_name(params.register.model_name)
    return params.register.model_name


def read_release(project: Path, name: str, alias: str, data_path: str, weights: Mapping[str, str]) -> Release:
    """Read the model, its test figures and the verdict.

    Args:
        project: the project's folder.
        name: of the registered model.
        alias: the alias that will name the version.
        data_path: as in params.yaml.
        weights: tag -> text, of the weights that the model was made from, see `tasks.licences.weights_tags`.

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
        "verdict": str(verdict["sentence"]),
        **weights,
    }
    return Release(name, alias, project / MODEL, _description(tags, card, figures, f"{name}@{alias}"), tags, figures)


def _description(tags: dict[str, str], card: dict[str, Any], figures: dict[str, float], served: str) -> str:
    classes = ", ".join(card["classes"][:20]) + (", ..." if len(card["classes"]) > 20 else "")
    return (
        f"Test accuracy **{tags['accuracy']}** on {figures['n_test']:.0f} images. {tags['verdict']}\n\n"
        f"Backbone `{tags['backbone']}`; data set `{tags['data']}` (`{tags['data_digest']}`); "
        f"{len(card['classes'])} classes: {classes}.\n\n"
        f"Takes whole image files: `mlflow models serve -m {shlex.quote(f'models:/{served}')} --env-manager local`."
    )
