"""The references: as many images as the fine-tuned model saw, no pretrained weights, and a note that says so."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapters.held_out_file import read_held_out
from adapters.json_files import read_json, write_json
from adapters.manifest_file import read_manifest
from adapters.model_files import load_model
from tasks import finetune, reference
from tasks.adaptation import training_target
from tasks.examples import chosen_rows
from tasks.history import read_history
from tasks.params import read_params
from transfer.backbones.backbone import Backbone
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import Augmentation
from transfer.data.examples import Target
from transfer.errors import UserError
from transfer.finetuning.measuring import judged, predict_logits
from transfer.finetuning.probing import probed
from transfer.finetuning.problem import Problem

WeightOfAllRows = Callable[[Backbone, Target], torch.Tensor]
SetParams = Callable[..., None]


def _random_trunk() -> dict[str, torch.Tensor]:
    winner = BackboneReference.parse(read_json(finetune.RANKING)["winner"])
    return build_backbone(winner.with_weights("none"), None, seed=read_params().reference.seed).state_dict()


def test_from_scratch_sees_as_many_images_as_the_fine_tuned_model_and_a_probe_each_once(finetuned: Path) -> None:
    reference.train_from_scratch()
    reference.probe_random_features()
    _, steps = read_history(finetune.HISTORY)
    epochs, outcomes = read_history(reference.HISTORY)
    expected = sum(step.images_seen for step in steps)
    n_train = len(read_manifest().of_split("train"))
    assert expected % n_train != 1
    assert {outcome.name: outcome.images_seen for outcome in outcomes} == {
        "scratch": expected,
        "random_frozen": n_train,
        "random_frozen_refit": len(read_manifest().of_split("val")),
    }
    assert {epoch.step_name: epoch.images_seen for epoch in epochs} == {"scratch": expected, "random_frozen": n_train}
    assert read_json(reference.HISTORY)["note"] == "equal images seen, not converged"


def test_a_last_single_image_is_neither_seen_nor_counted(finetuned: Path) -> None:
    content = read_json(finetune.HISTORY)
    n_train = len(read_manifest().of_split("train"))
    content["steps"] = [{**content["steps"][0], "images_seen": 2 * n_train + 1}]
    write_json(finetune.HISTORY, {key: content[key] for key in ("epochs", "steps", "batch_size")}, finetune._MADE_FROM)
    reference.train_from_scratch()
    reference.probe_random_features()
    _, (scratch, *_) = read_history(reference.HISTORY)
    assert scratch.images_seen == 2 * n_train


def test_what_the_history_says_of_a_model_is_what_the_model_does(
    finetuned: Path, weight_of_all_rows: WeightOfAllRows
) -> None:
    reference.train_from_scratch()
    reference.probe_random_features()
    _, (of_scratch, of_probe, of_refit) = read_history(reference.HISTORY)
    scratch, card = load_model(reference.SCRATCH)
    target = training_target("data/digits", read_manifest(), card.preprocess, 60)
    found = judged(scratch, Problem.of_images(scratch, target, Augmentation()).val)
    assert (found.nll, found.accuracy) == pytest.approx((of_scratch.val_nll_after, of_scratch.val_accuracy))
    frozen, _ = load_model(reference.RANDOM_FROZEN)
    _, (_, again) = probed(frozen.backbone, target)
    assert (again.val_nll_after, again.val_accuracy) == pytest.approx((of_probe.val_nll_after, of_probe.val_accuracy))
    assert of_refit.kept
    assert torch.allclose(frozen.head.weight, weight_of_all_rows(frozen.backbone, target), atol=1e-4)


def test_the_limit_on_images_holds_here_too(finetuned: Path, set_params: SetParams) -> None:
    set_params(finetune={"max_images_seen": 12})
    finetune.train()
    keep = {row.path for split in ("train", "val") for row in chosen_rows(read_manifest().of_split(split), 12)}
    for path in Path("data/digits").rglob("*.png"):
        if path.relative_to("data/digits").as_posix() not in keep:
            path.unlink()
    reference.train_from_scratch()
    reference.probe_random_features()
    assert read_history(reference.HISTORY)[1][1].images_seen == 12


def test_the_frozen_trunk_is_the_random_one_and_the_other_is_not(finetuned: Path) -> None:
    reference.train_from_scratch()
    reference.probe_random_features()
    start = _random_trunk()
    frozen, scratch = (
        load_model(folder)[0].backbone.state_dict() for folder in (reference.RANDOM_FROZEN, reference.SCRATCH)
    )
    statistics = {name for name in start if "running" in name or "num_batches" in name}
    assert all(torch.equal(frozen[name], start[name]) for name in set(start) - statistics)
    assert any(not torch.equal(frozen[name], start[name]) for name in statistics)  # those of the training images
    weights = [name for name in start if name.endswith("conv1.weight")]
    assert weights
    assert not any(torch.equal(scratch[name], start[name]) for name in weights)


def test_the_same_inputs_give_the_same_bytes(finetuned: Path) -> None:
    contents = []
    for _ in range(2):
        reference.train_from_scratch()
        reference.probe_random_features()
        models = [folder / "model.safetensors" for folder in (reference.SCRATCH, reference.RANDOM_FROZEN)]
        contents.append([path.read_bytes() for path in (*models, reference.HISTORY)])
        shutil.rmtree("artifacts/reference")
    assert contents[0] == contents[1]


def test_a_history_of_another_ranking_is_refused(finetuned: Path) -> None:
    text = finetune.RANKING.read_text(encoding="utf-8")
    finetune.RANKING.write_text(text.replace('"why": "', '"why": "Again: '), encoding="utf-8")
    with pytest.raises(UserError, match="was made from another"):
        reference.train_from_scratch()


def test_references_hand_on_what_they_make_of_validation_rows_that_they_were_not_fitted_to(trained: Path) -> None:
    answers = {}
    for folder in (reference.SCRATCH, reference.RANDOM_FROZEN):
        classifier, _ = load_model(folder)
        own = read_held_out(folder / "held_out.safetensors", {"model": folder / "model.safetensors"})
        rows = training_target("data/digits", read_manifest(), classifier.backbone.preprocess, 60)
        assert own.labels.equal(rows.val.labels)
        answers[folder] = own, predict_logits(classifier, rows.val.inputs)
    unseen, fitted = answers[reference.SCRATCH]
    assert not unseen.left_out
    torch.testing.assert_close(unseen.logits, fitted)
    unseen, fitted = answers[reference.RANDOM_FROZEN]
    kept = {step.name for step in read_history(reference.HISTORY)[1] if step.kept}
    assert unseen.left_out == ("random_frozen_refit" in kept)
    losses = [torch.nn.functional.cross_entropy(logits, unseen.labels) for logits in (fitted, unseen.logits)]
    assert losses[0] < losses[1]  # a head is kinder to rows that it was fitted to
