"""The task `pretrain`: refused parameters, weights that repeat themselves, a card that names them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapters.json_files import sha256_of
from tasks import pretrain
from transfer.errors import UserError


@pytest.fixture
def params(project: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> pretrain.PretrainParams:
    """Read the shipped parameters in a project of its own, and cut the budget to three steps."""
    monkeypatch.setattr(pretrain, "HELD_OUT_CLASSES", {"glyph": 11, "texture": 1})
    monkeypatch.setattr(pretrain, "HELD_OUT_EPISODES", 1)
    pretrain.PARAMS_FILE.parent.mkdir()
    pretrain.PARAMS_FILE.write_text((root / pretrain.PARAMS_FILE).read_text(encoding="utf-8"), encoding="utf-8")
    sizes = {"n_variants": 1, "template_px": 24, "steps": 3, "batch_size": 8}
    return replace(pretrain.read_params(), classes={"glyph": 3, "texture": 1}, threads=1, **sizes)


def test_the_same_seed_gives_the_same_weights_and_no_global_state_moves(params: pretrain.PretrainParams) -> None:
    before = torch.random.get_rng_state()
    digests = []
    for _ in range(2):
        pretrain.write(params, pretrain.train(params))
        digests.append(sha256_of(pretrain.WEIGHTS_FILE))
    assert digests[0] == digests[1]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_weights_load_as_the_shipped_architecture(params: pretrain.PretrainParams) -> None:
    from safetensors.torch import load_file

    from transfer.backbones.strokes import strokes

    pretrain.write(params, pretrain.train(params))
    strokes().load_state_dict(load_file(pretrain.WEIGHTS_FILE))
    card = json.loads(pretrain.CARD_FILE.read_text(encoding="utf-8"))
    assert card["sha256"] == sha256_of(pretrain.WEIGHTS_FILE)
    assert card["images_seen"] == 24
    assert 0 <= card["results"]["held_out_5_shot_10_way_accuracy"] <= 1


def test_what_it_was_trained_on_lies_beside_the_weights(params: pretrain.PretrainParams) -> None:
    from safetensors import safe_open

    from adapters.source_samples import sample_of

    trained = pretrain.train(params)
    pretrain.write(params, trained)
    with safe_open(sample_of(pretrain.WEIGHTS_FILE), framework="pt") as stored:
        assert torch.equal(stored.get_tensor("features"), trained.features)
        about = json.loads(stored.metadata()["about"])
    assert trained.features.shape == (256, 336)
    assert about["sha256"] == sha256_of(pretrain.WEIGHTS_FILE)


def test_the_shipped_card_names_the_shipped_weights(root: Path) -> None:
    card = json.loads((root / pretrain.CARD_FILE).read_text(encoding="utf-8"))
    assert card["sha256"] == sha256_of(root / pretrain.WEIGHTS_FILE)


def test_unknown_and_missing_keys_are_named(params: pretrain.PretrainParams) -> None:
    text = pretrain.PARAMS_FILE.read_text(encoding="utf-8")
    pretrain.PARAMS_FILE.write_text(text.replace("  steps:", "  step:"), encoding="utf-8")
    with pytest.raises(UserError, match=r"unknown or missing keys \(step, steps\)"):
        pretrain.read_params()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_device_is_refused(params: pretrain.PretrainParams) -> None:
    with pytest.raises(UserError, match="finds no CUDA device"):
        pretrain.train(replace(params, device="cuda"))
