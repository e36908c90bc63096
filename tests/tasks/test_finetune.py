"""Fine-tuning as a task: the model, its history, its picture; what is refused; the same inputs, the same bytes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapters.json_files import read_json, sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.model_files import load_model
from flows.select import rank_all
from tasks import finetune
from tasks.adaptation import training_target
from tasks.candidates import candidate
from tasks.examples import chosen_rows
from tasks.history import over_all_images, read_history
from tasks.params import read_params
from transfer.backbones.backbone import Backbone
from transfer.backbones.reference import BackboneReference
from transfer.data.examples import Target
from transfer.errors import UserError
from transfer.records import EpochRecord

WeightOfAllRows = Callable[[Backbone, Target], torch.Tensor]
SetParams = Callable[..., None]
WEIGHTS = finetune.MODEL / "model.safetensors"


def test_it_writes_a_model_that_loads_and_a_history_that_tells_its_steps(ranked: Path) -> None:
    finetune.train()
    classifier, card = load_model(finetune.MODEL)
    epochs, outcomes = read_history(finetune.HISTORY)
    assert card.classes == read_manifest().classes
    assert not classifier.training
    assert [outcome.name for outcome in outcomes] == ["probe", "norms", "refit", "last", "all"]
    assert {epoch.step_name for epoch in epochs} == {"probe", "last", "all"}
    n_train, limit = len(read_manifest().of_split("train")), read_params().finetune.max_images_seen
    assert outcomes[0].images_seen == n_train
    assert outcomes[2].images_seen == len(read_manifest().of_split("val"))
    assert all(0 < outcome.images_seen <= limit for outcome in outcomes[3:])
    recorded = read_json(finetune.HISTORY)["made_from"]
    assert recorded == {
        "manifest": sha256_of(MANIFEST),
        "quarantine": sha256_of(QUARANTINE),
        "ranking": sha256_of(finetune.RANKING),
    }


def test_no_more_rows_are_read_than_a_step_may_see(ranked: Path, set_params: SetParams) -> None:
    set_params(finetune={"max_images_seen": 7})
    rows = {split: read_manifest().of_split(split) for split in ("train", "val")}
    chosen = {split: chosen_rows(of_split, 7) for split, of_split in rows.items()}
    for split, of_split in rows.items():
        assert len(of_split) > 7 == len(chosen[split])
        for row in set(of_split) - set(chosen[split]):
            (Path("data/digits") / row.path).unlink()
    finetune.train()
    _, outcomes = read_history(finetune.HISTORY)
    assert outcomes[0].images_seen == 7
    assert [outcome.images_seen for outcome in outcomes[:2]] == [7, 14]
    assert all(0 < outcome.images_seen <= 7 for outcome in outcomes[2:])


def test_fewer_rows_than_classes_are_refused(ranked: Path, set_params: SetParams) -> None:
    set_params(finetune={"max_images_seen": 2})
    with pytest.raises(
        UserError, match=r"max_images_seen is 2, but data/digits has 3 classes .*; make it at least 3\.$"
    ):
        finetune.train()


def test_random_weights_are_those_that_were_ranked_whatever_the_seed(ranked: Path, set_params: SetParams) -> None:
    reference = "rootstock/strokes@none"
    set_params(select={"candidates": [reference]})
    rank_all()
    set_params(finetune={"seed": 5, "head_lr": 1e-9, "backbone_lr": 1e-9})
    finetune.train()
    trained = load_model(finetune.MODEL)[0].backbone.state_dict()
    scored = candidate(BackboneReference.parse(reference), None)[0].state_dict()
    weights = [name for name in scored if name.endswith("conv1.weight")]
    assert weights
    assert all(torch.allclose(trained[name], scored[name], atol=1e-6) for name in weights)


def test_a_step_is_kept_only_where_validation_gained(ranked: Path) -> None:
    finetune.train()
    _, outcomes = read_history(finetune.HISTORY)
    for outcome in outcomes[1:]:
        assert outcome.val_nll_before is not None
        assert outcome.val_nll_noise is not None
        gain = outcome.val_nll_before - outcome.val_nll_after
        assert outcome.kept == (gain > (-outcome.val_nll_noise if outcome.name == "refit" else outcome.val_nll_noise))


def test_the_same_inputs_give_the_same_bytes(ranked: Path) -> None:
    finetune.train()
    first = WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()
    shutil.rmtree(".rootstock/steps")
    finetune.train()
    assert (WEIGHTS.read_bytes(), finetune.HISTORY.read_bytes()) == first


def test_no_record_holds_a_time(ranked: Path) -> None:
    finetune.train()
    text = finetune.HISTORY.read_text(encoding="utf-8")
    assert not any(word in text for word in ("seconds", "time", '_s"', "run_id"))


def test_test_rows_are_not_read(ranked: Path) -> None:
    for row in read_manifest().of_split("test"):
        (Path("data/digits") / row.path).unlink()
    finetune.train()
    assert WEIGHTS.is_file()


def test_a_ranking_of_another_manifest_is_refused(ranked: Path) -> None:
    ranking = read_json(finetune.RANKING)
    stale = {"manifest": QUARANTINE, "quarantine": QUARANTINE}
    write_json(finetune.RANKING, {key: ranking[key] for key in ("candidates", "winner")}, stale)
    with pytest.raises(UserError, match="was made from another"):
        finetune.train()
    assert not finetune.MODEL.exists()


def test_no_validation_rows_are_refused(ranked: Path) -> None:
    paths = [row.path for row in read_manifest().of_split("val")]
    write_json(QUARANTINE, {"paths": paths}, {"manifest": MANIFEST})
    ranking = json.loads(finetune.RANKING.read_text(encoding="utf-8"))
    payload = {key: ranking[key] for key in ("candidates", "winner", "why", "pixel_baseline")}
    write_json(finetune.RANKING, payload, {"manifest": MANIFEST, "quarantine": QUARANTINE})
    with pytest.raises(UserError, match=r"no validation images; raise manifest\.val_fraction"):
        finetune.train()


def test_epochs_are_placed_over_all_images() -> None:
    def epoch(name: str, number: int, images_seen: int) -> EpochRecord:
        return EpochRecord(name, number, images_seen, 1.0, 1.0, 0.5)

    epochs = [epoch("probe", 1, 20), epoch("last", 1, 20), epoch("last", 2, 30), epoch("all", 1, 20)]
    assert [place for place, _ in over_all_images(epochs)] == [20, 40, 50, 70]


def test_the_picture_is_drawn_from_the_history(ranked: Path) -> None:
    finetune.train()
    finetune.draw()
    assert finetune.LEARNING_CURVE.read_bytes().startswith(b"\x89PNG")


def test_what_was_measured_is_decided_once(ranked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finetune.train()
    first = finetune.PLAN.read_bytes()
    (kept,) = (ranked / ".rootstock/plans").iterdir()
    assert all(step["cost"]["update_s"] > 0 for step in json.loads(kept.read_text())["steps"])

    def measured(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("transfer.finetuning.costs.measured", measured)
    finetune.train()
    assert finetune.PLAN.read_bytes() == first


def test_damaged_decisions_are_made_again(ranked: Path) -> None:
    finetune.train()
    (kept,) = (ranked / ".rootstock/plans").iterdir()
    whole = kept.read_text()
    for damage in ("", whole.replace('"at_once": ', '"at_once": -')):  # others: tests/tasks/test_decisions.py
        assert damage != whole
        kept.write_text(damage)
        finetune.train()
        assert len(json.loads(kept.read_text())["steps"]) == 2


def test_a_budget_too_short_for_steps_leaves_the_probe(
    ranked: Path, set_params: SetParams, weight_of_all_rows: WeightOfAllRows
) -> None:
    set_params(finetune={"budget_s": 0.001})
    finetune.train()
    epochs, outcomes = read_history(finetune.HISTORY)
    assert {epoch.step_name for epoch in epochs} == {"probe"}
    assert [(outcome.name, outcome.images_seen) for outcome in outcomes[3:]] == [("last", 0), ("all", 0)]
    assert not any(outcome.kept for outcome in outcomes[3:])
    assert outcomes[2].kept
    classifier, card = load_model(finetune.MODEL)
    target = training_target("data/digits", read_manifest(), card.preprocess, read_params().finetune.max_images_seen)
    assert torch.allclose(classifier.head.weight, weight_of_all_rows(classifier.backbone, target), atol=1e-4)
