"""What the pretrained trunk is worth as it came: a probe where the model is not one itself, and the class means."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torchvision import models

from adapters.json_files import read_json, sha256_of, write_json
from adapters.manifest_file import read_manifest
from adapters.model_files import load_head, load_model, save_model
from tasks import evaluate, finetune, frozen, reference
from tasks.adaptation import training_target
from tasks.candidates import candidate
from tasks.frozen import _write_source
from tasks.frozen_files import NEAREST_MEAN, SOURCE, read_frozen
from tasks.handoffs import FROZEN, METRICS, MODEL, SCRATCH, VERDICT
from transfer.backbones.backbone import Backbone
from transfer.backbones.build import build_backbone
from transfer.backbones.features import extract_features
from transfer.backbones.reference import BackboneReference
from transfer.data.examples import Target
from transfer.errors import UserError

WeightOfAllRows = Callable[[Backbone, Target], torch.Tensor]
SetParams = Callable[..., None]


def _say_that_a_step_was_kept() -> None:
    """Let the history tell of a last step that was kept; the model is as it was."""
    content = read_json(finetune.HISTORY)
    made_from = {name: content.pop(name) for name in ("version", "made_from")}
    for step in content["steps"]:
        step["kept"] = step["name"] in ("probe", "all")
    assert made_from
    write_json(finetune.HISTORY, content, finetune._MADE_FROM)


def test_the_model_that_kept_no_step_is_the_probe_and_is_not_compared_with_itself(trained: Path) -> None:
    found = read_frozen()
    assert (found.pretrained, found.model_is_probe, found.folder) == (True, True, MODEL)
    assert not (FROZEN / "model.safetensors").exists()
    evaluate.measure()
    verdict = read_json(VERDICT)
    assert set(verdict["comparisons"]) == {"scratch", "random_frozen", "nearest_mean"}
    assert verdict["parts"]["probe"].startswith("The model is the linear probe: no step of fine-tuning")
    assert "over nearest_mean" in verdict["parts"]["nearest_mean"]


def test_the_class_means_are_scikit_learns_on_the_pretrained_features(trained: Path) -> None:
    model, card = load_model(MODEL)  # of which only the head was fitted
    target = training_target("data/digits", read_manifest(), card.preprocess, 60)
    rows = torch.cat([extract_features(model.backbone, one.inputs) for one in (target.train, target.val)])
    labels = torch.cat((target.train.labels, target.val.labels))
    expected = make_pipeline(StandardScaler(), NearestCentroid()).fit(rows.double().numpy(), labels.numpy())
    with torch.no_grad():
        found = load_head(NEAREST_MEAN)(rows).argmax(1).numpy()
    assert (found == expected.predict(rows.double().numpy())).mean() > 0.97


def test_where_a_step_was_kept_the_probe_is_what_would_have_been_there_without_it(
    finetuned: Path, weight_of_all_rows: WeightOfAllRows
) -> None:
    _say_that_a_step_was_kept()
    reference.train_from_scratch()
    reference.probe_random_features()
    reference.probe_pretrained_features()
    found = read_frozen()
    assert (found.pretrained, found.model_is_probe, found.folder) == (True, False, FROZEN)
    probe, card = load_model(FROZEN)
    target = training_target("data/digits", read_manifest(), card.preprocess, 60)
    assert torch.allclose(probe.head.weight, weight_of_all_rows(probe.backbone, target), atol=1e-4)
    evaluate.measure()
    metrics, verdict = json.loads(METRICS.read_text(encoding="utf-8")), read_json(VERDICT)
    assert metrics["probe_gain"] == pytest.approx(metrics["accuracy"] - metrics["probe_accuracy"], abs=2e-6)
    assert verdict["parts"]["probe"].startswith("What fine-tuning beyond a linear probe gave: ")


def test_without_pretrained_weights_there_is_nothing_to_probe(ranked: Path, set_params: SetParams) -> None:
    set_params(finetune={"strategy": "scratch", "epochs": 1})
    finetune.train()
    reference.train_from_scratch()
    reference.probe_random_features()
    reference.probe_pretrained_features()
    assert not read_frozen().pretrained
    evaluate.measure()
    verdict = read_json(VERDICT)
    assert set(verdict["comparisons"]) == {"scratch", "random_frozen"}
    beaten = any(one["better"] is False for one in verdict["comparisons"].values())
    assert (verdict["verdict"], verdict["transfer_helped"]) == ("negative" if beaten else "inconclusive", None)
    assert (verdict["parts"], verdict["early_warnings"]) == ({}, [])


def test_a_missing_or_damaged_head_is_refused(trained: Path) -> None:
    NEAREST_MEAN.write_bytes(b"no tensors")
    with pytest.raises(UserError, match="is missing or damaged"):
        evaluate.measure()


def test_the_network_as_it_came_is_kept_where_its_head_knows_the_classes(project: Path) -> None:
    network = models.get_model("resnet18", weights=None)
    network.bn1.running_mean.fill_(3.0)
    torch.save(network.state_dict(), "weights.pth")
    winner, digest = BackboneReference.parse("torchvision/resnet18@weights.pth"), sha256_of(Path("weights.pth"))
    backbone = build_backbone(winner, network.state_dict(), seed=0)
    assert _write_source(backbone, winner, digest, ("ants", "wasps")) == ()
    assert not SOURCE.exists()
    assert _write_source(backbone, winner, digest, ("ants", "bees")) == ("ant", "bee")
    kept, card = load_model(SOURCE)
    assert card.classes == ("ants", "bees")
    assert torch.equal(kept.head.weight, network.fc.weight[[310, 309]])
    assert float(kept.backbone.trunk.bn1.running_mean.mean()) == 3.0


def test_it_is_written_before_the_trunk_gets_statistics_of_the_target(
    ranked: Path, set_params: SetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {}

    def keeping(backbone: Backbone, *_: object) -> tuple[str, ...]:
        written.update({name: value.clone() for name, value in backbone.state_dict().items()})
        return ()

    monkeypatch.setattr(frozen, "_write_source", keeping)
    set_params(finetune={"norms": "reestimated", "epochs": 1})
    finetune.train()
    reference.train_from_scratch()
    reference.probe_random_features()
    reference.probe_pretrained_features()
    came, _ = candidate(BackboneReference.parse("rootstock/strokes"), None)
    assert all(torch.equal(value, came.state_dict()[name]) for name, value in written.items())
    model, _ = load_model(MODEL)
    statistics = [name for name in written if name.endswith("running_mean")]
    assert any(not torch.equal(written[name], model.backbone.state_dict()[name]) for name in statistics)


def test_a_network_that_knows_the_classes_is_a_reference_of_the_model(trained: Path) -> None:
    network, card = load_model(SCRATCH)
    save_model(SOURCE, network, card)
    replace(read_frozen(), source_classes=("bar", "dot", "ring")).write()
    evaluate.measure()
    metrics, verdict = json.loads(METRICS.read_text(encoding="utf-8")), read_json(VERDICT)
    assert metrics["source_head_accuracy"] == metrics["scratch_accuracy"]
    assert "beyond the pretrained network as it came" in verdict["parts"]["source_head"]
