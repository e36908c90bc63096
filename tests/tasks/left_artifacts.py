"""What the stage `register` reads: artifacts as the earlier stages leave them."""

from pathlib import Path
from typing import Any

import torch

from adapters.json_files import write_json, write_plain_json
from adapters.mlflow_aliases import aliased
from adapters.mlflow_store import open_client
from adapters.model_files import save_model
from tasks.compared import identity_of, own_identity
from tasks.handoffs import CHAMPION, LOOKS, METRICS, MODEL, VERDICT
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference


def leave_artifacts(seed: int = 0) -> None:
    classifier = Classifier(build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0), 2)
    torch.nn.init.constant_(classifier.head.bias, float(seed))
    save_model(MODEL, classifier, ModelCard.of(classifier, ("ant", "bee")))
    figures = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "n_test": 40, "references": "not converged"}
    write_plain_json(METRICS, figures)
    write_json(VERDICT, {"sentence": "It helped."}, {"transfer": MODEL / "model.safetensors"})
    leave_looks()
    compare()


def leave_looks(low: float = 0.8, n_models: int = 1) -> None:
    """Write what the stage `evaluate` writes of the looks at the test images."""
    looks = {
        "n_models": n_models,
        "accuracy": {"value": 0.9, "low": low, "high": 0.95},
        "worst_slice": None,
        "sentence": "A look.",
    }
    write_json(LOOKS, {**looks, "sentence": "A look."}, {"weights": MODEL / "model.safetensors"})


def compare(paired: tuple[int, int, int] | None = None, **more: Any) -> None:
    """Write what the stage `evaluate` writes of the champion: rows that only the new, only the old model got right."""
    project = Path.cwd()
    found = aliased(project, "digits", "champion")
    record: dict[str, Any] = {"model": "digits", "own": own_identity(project), "champion": None, **more}
    if found is not None:
        record["champion"] = {"version": found.version, "identity": identity_of(found)}
        counts = dict(zip(("only_challenger", "only_champion", "n_rows"), paired or (0, 0, 40), strict=True))
        more_facts = {
            "paired": counts,
            "problem": None,
            "size_bytes": 10**6,
            "n_challengers": 1,
            "n_left_out": 0,
            "seen_known": True,
        }
        record = {**more_facts, **record}
    write_json(CHAMPION, record, {"weights": MODEL / "model.safetensors", "card": MODEL / "card.json"})


def set_param(line: str, changed: str) -> None:
    params = Path("params.yaml")
    assert line in params.read_text()
    params.write_text(params.read_text().replace(line, changed))


def champion(alias: str = "champion") -> str:
    return str(open_client().get_model_version_by_alias("digits", alias).version)
