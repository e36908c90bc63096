"""A packed model proves by its own code that it says what it said; whatever was changed in it is noticed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.golden_outputs import OUTPUTS, prove
from adapters.json_files import read_plain_json, write_plain_json
from adapters.mlflow_package import package
from adapters.mlflow_store import prepare_environment
from adapters.model_files import load_model, save_model
from adapters.seen_rows import EVIDENCE, SEEN_ROWS, seen_among, write_seen_rows
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.reference import BackboneReference
from transfer.data.batches import normalise
from transfer.data.decoding import to_example
from transfer.data.golden import golden_images


@pytest.fixture(scope="module")
def packed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("packed in a folder")
    prepare_environment(scratch)
    classifier = Classifier(build_backbone(BackboneReference.parse("rootstock/strokes@none"), None, seed=0), 3)
    torch.nn.init.normal_(classifier.head.weight, generator=torch.Generator().manual_seed(1))
    save_model(scratch / "stored", classifier, ModelCard.of(classifier, ("ant", "bee", "cat")))
    write_seen_rows(scratch / "seen.txt", ("ab" * 32, "cd" * 32))
    package(scratch / "stored", scratch / "model", {}, scratch / "seen.txt")
    return scratch


@pytest.fixture
def packed(packed_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed_once / "model", tmp_path / "copied"))


def test_a_whole_model_reproduces_what_it_said(packed: Path) -> None:
    proof = prove(packed)
    assert proof.holds is True
    assert proof.sentence == "4 golden outputs reproduced exactly"


def test_what_is_kept_is_what_torch_says_of_images_of_many_shapes(packed_once: Path) -> None:
    classifier, card = load_model(packed_once / "stored")
    images = golden_images()
    assert images == golden_images()
    examples = torch.stack([to_example(content, card.preprocess) for content in images])
    with torch.inference_mode():
        expected = classifier(normalise(examples, card.preprocess)).double()
    kept = torch.tensor(read_plain_json(packed_once / "model/artifacts" / EVIDENCE / OUTPUTS)["logits"]).double()
    torch.testing.assert_close(kept, expected, rtol=0, atol=1e-5)
    assert (kept[1:] - kept[:-1]).abs().max() > 0.01, "images that a model tells apart"


def _weights(packed: Path) -> None:
    path = packed / "artifacts/model/model.safetensors"
    state = load_file(path)
    name = next(name for name in state if name.endswith("weight") and state[name].ndim == 4)
    state[name] = state[name] * 1.05
    save_file(state, path)


def _preprocess(packed: Path) -> None:
    card = read_plain_json(packed / "artifacts/model/card.json")
    card["preprocess"]["mean"] = [0.4, 0.5, 0.5]
    write_plain_json(packed / "artifacts/model/card.json", card)


def _code(packed: Path) -> None:
    path = packed / "code/transfer/data/batches.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n_kept = normalise\ndef normalise(*given): return _kept(*given) * 1.1\n", encoding="utf-8")


def _image(packed: Path) -> None:
    (packed / "artifacts" / EVIDENCE / "golden_0.png").write_bytes(golden_images()[1])


def _outputs(packed: Path) -> None:
    path = packed / "artifacts" / EVIDENCE / OUTPUTS
    content = read_plain_json(path)
    content["logits"][2][1] += 0.1
    write_plain_json(path, content)


@pytest.mark.parametrize("change", [_weights, _preprocess, _code, _image, _outputs])
def test_what_was_changed_is_noticed(packed: Path, change: Callable[[Path], None]) -> None:
    change(packed)
    proof = prove(packed)
    assert proof.holds is False
    assert "golden outputs differ by" in proof.sentence


def test_a_model_that_cannot_be_loaded_is_no_proof(packed: Path) -> None:
    path = packed / "artifacts/model/model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    proof = prove(packed)
    assert proof.holds is False
    assert "it cannot be asked" in proof.sentence
    shutil.rmtree(packed)
    assert prove(packed).holds is False
    assert "its files are gone" in prove(packed).sentence


def test_a_model_without_its_own_code_is_no_proof(packed: Path) -> None:
    shutil.rmtree(packed / "code")
    proof = prove(packed)
    assert proof.holds is False
    assert "it cannot be asked (it carries no transfer" in proof.sentence


@pytest.mark.parametrize("logits", [[], [[]]])
def test_empty_golden_outputs_are_no_proof(packed: Path, logits: list[list[float]]) -> None:
    path = packed / "artifacts" / EVIDENCE / OUTPUTS
    write_plain_json(path, {**read_plain_json(path), "logits": logits})
    assert prove(packed).holds is False


def test_a_model_without_golden_outputs_is_told_apart_from_a_wrong_one(packed: Path) -> None:
    shutil.rmtree(packed / "artifacts" / EVIDENCE)
    assert prove(packed).holds is None


def test_rows_that_were_seen_travel_with_the_model(packed: Path, tmp_path: Path) -> None:
    kept = packed / "artifacts" / EVIDENCE / SEEN_ROWS
    asked = ("ab" * 32, "ef" * 32)
    assert seen_among(kept, asked) == {"ab" * 32}
    assert seen_among(tmp_path / "nothing.txt", asked) is None
