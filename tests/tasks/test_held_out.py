"""What evaluation calibrates by: answers to validation rows that the model was not fitted to."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from adapters.held_out_file import HeldOut, read_held_out, write_held_out
from adapters.manifest_file import read_manifest
from adapters.model_files import load_model
from tasks import finetune
from tasks.adaptation import training_target
from tasks.handoffs import HELD_OUT, MODEL
from tasks.held_out import held_out
from tasks.history import read_history
from tasks.params import read_params
from transfer.backbones.features import extract_features
from transfer.errors import UserError
from transfer.finetuning.measuring import predict_logits
from transfer.heads.ridge import fit_probe
from transfer.records import StepOutcome

MADE_FROM = {"model": MODEL / "model.safetensors"}


def test_rows_that_the_head_was_fitted_to_are_answered_by_fits_without_them(finetuned: Path) -> None:
    kept = [outcome.name for outcome in read_history(finetune.HISTORY)[1] if outcome.kept]
    assert kept[-1] == "refit"
    found, (model, card) = read_held_out(HELD_OUT, MADE_FROM), load_model(MODEL)
    target = training_target("data/digits", read_manifest(), card.preprocess, 60)
    assert found.left_out
    assert found.labels.equal(target.val.labels)
    rows = torch.cat([extract_features(model.backbone, one.inputs) for one in (target.train, target.val)])
    labels, n_train = torch.cat((target.train.labels, target.val.labels)), len(target.train)
    fit = fit_probe(rows, labels, target.n_classes)
    assert torch.allclose(found.logits, fit.held_out[n_train:].float(), atol=1e-3)
    assert found.sharpness == pytest.approx(fit.sharpness, rel=1e-3)
    own = predict_logits(model, target.val.inputs)
    assert functional.cross_entropy(own, found.labels) < functional.cross_entropy(found.logits, found.labels)


def test_rows_that_only_chose_are_answered_by_the_model(finetuned: Path) -> None:
    model, card = load_model(MODEL)
    target = training_target("data/digits", read_manifest(), card.preprocess, 60)
    probe = StepOutcome("probe", ("head",), None, 0.5, 0.9, 28, kept=True, sharpness=9.0)
    step = StepOutcome("all", ("deep", "head"), 0.5, 0.4, 0.9, 40, kept=True, sharpness=1.25)
    found = held_out(model, target, read_params(), [probe, replace(probe, name="refit", kept=False), step], "0" * 64)
    assert (found.left_out, found.sharpness) == (False, 1.25)
    assert found.logits.equal(predict_logits(model, target.val.inputs))
    undone = held_out(model, target, read_params(), [probe, replace(step, kept=False)], "0" * 64)
    assert (undone.left_out, undone.sharpness) == (False, 9.0)


def test_a_record_of_another_model_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    model, path = tmp_path / "model", tmp_path / "held_out"
    model.write_bytes(b"one")
    held_out = HeldOut(torch.randn(3, 2), torch.tensor([0, 1, 0]), left_out=True, sharpness=None)
    write_held_out(path, held_out, {"model": model})
    again = read_held_out(path, {"model": model})
    assert again.logits.equal(held_out.logits)
    assert again.labels.equal(held_out.labels)
    assert (again.left_out, again.sharpness) == (True, None)
    model.write_bytes(b"another")
    with pytest.raises(UserError, match="made from another"):
        read_held_out(path, {"model": model})
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="is damaged"):
        read_held_out(path, {"model": model})
    with pytest.raises(UserError, match="is missing"):
        read_held_out(tmp_path / "nowhere", {})
