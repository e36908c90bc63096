"""The references: as many images as the fine-tuned model saw, no pretrained weights, and a note that says so."""

import shutil
from pathlib import Path

import pytest
import torch

from adapters.json_files import read_json
from adapters.model_files import load_model
from tasks import finetune, reference
from tasks.params import read_params
from transfer.backbones.build import build_backbone
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError


@pytest.fixture
def finetuned(ranked: Path) -> Path:
    finetune.train()
    return ranked


def _random_trunk() -> dict[str, torch.Tensor]:
    winner = BackboneReference.parse(read_json(finetune.RANKING)["winner"])
    return build_backbone(winner.with_weights("none"), None, seed=read_params().reference.seed).state_dict()


def test_both_see_as_many_images_as_the_fine_tuned_model(finetuned: Path) -> None:
    reference.train_from_scratch()
    reference.probe_random_features()
    _, steps = finetune.read_history(finetune.HISTORY)
    epochs, outcomes = finetune.read_history(reference.HISTORY)
    expected = sum(step.images_seen for step in steps)
    assert {outcome.name: outcome.images_seen for outcome in outcomes} == {
        "scratch": expected,
        "random_frozen": expected,
    }
    assert max(epoch.images_seen for epoch in epochs if epoch.step_name == "scratch") == expected
    assert read_json(reference.HISTORY)["note"] == "equal images seen, not converged"


def test_the_frozen_trunk_is_the_random_one_and_the_other_is_not(finetuned: Path) -> None:
    reference.train_from_scratch()
    reference.probe_random_features()
    start = _random_trunk()
    frozen, scratch = (
        load_model(folder)[0].backbone.state_dict() for folder in (reference.RANDOM_FROZEN, reference.SCRATCH)
    )
    assert all(torch.equal(frozen[name], value) for name, value in start.items())
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
