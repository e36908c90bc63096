"""The flow `register` on its plain path, without a server: a model becomes the champion, once."""

from pathlib import Path

import pytest

from adapters.json_files import read_json, sha256_of, write_json, write_plain_json
from adapters.mlflow_store import open_client
from adapters.model_files import save_model
from flows.register import register
from tests.tasks.left_artifacts import leave_looks
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError

MODEL, EVALUATE = Path("artifacts/finetune/model"), Path("artifacts/evaluate")


def test_the_flow_registers_a_model_once(mlflow_project: Path) -> None:
    classifier = Classifier(build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0), 2)
    save_model(MODEL, classifier, ModelCard.of(classifier, ("ant", "bee")))
    figures = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "n_test": 40}
    write_plain_json(EVALUATE / "metrics.json", figures)
    write_json(EVALUATE / "verdict.json", {"sentence": "It helped."}, {"transfer": MODEL / "model.safetensors"})
    own = {"model_sha256": sha256_of(MODEL / "model.safetensors"), "card_sha256": sha256_of(MODEL / "card.json")}
    record = {"model": "digits", "own": own, "champion": None}
    made_from = {"weights": MODEL / "model.safetensors", "card": MODEL / "card.json"}
    write_json(EVALUATE / "champion.json", record, made_from)
    leave_looks()
    for _ in range(2):
        register.fn()
    assert read_json(Path("artifacts/register/registration.json"))["model_version"] == "1"
    assert len(open_client().search_model_versions()) == 1
    assert str(open_client().get_model_version_by_alias("digits", "champion").version) == "1"


def test_the_flow_refuses_where_there_is_nothing_to_register(mlflow_project: Path) -> None:
    with pytest.raises(UserError, match=r"card\.json is missing"):
        register.fn()
