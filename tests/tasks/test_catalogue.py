"""What `rootstock backbones` shows and does, and what weights have to pass before anything is made from them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.mlflow_store import open_client
from adapters.model_files import save_model
from adapters.weights_cards import declaration_of, declared
from tasks import catalogue, catalogue_tables
from tasks.candidates import candidate, random_candidate
from tasks.customs import admit
from tasks.overrides import planned_changes, write_overrides
from tasks.params import read_params
from transfer.backbones.answers import answer_of
from transfer.backbones.backbone import Classifier
from transfer.backbones.build import build_backbone
from transfer.backbones.card import ModelCard
from transfer.backbones.digests import digest_of
from transfer.backbones.known_answers import SHIPPED
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError

parse = BackboneReference.parse


def _weights(path: Path, seed: int = 0) -> str:
    save_file(build_backbone(parse("rootstock/strokes@none"), None, seed=seed).trunk.state_dict(), path)
    return f"rootstock/strokes@{path.name}"


def _register(folder: Path, seed: int, number: int, tags: dict[str, str] | None = None) -> Classifier:
    """Register a model as `rootstock run` stores it, as a further version, and let the alias name it."""
    backbone = build_backbone(parse("rootstock/strokes?crop_px=40&resize_px=48@none"), None, seed=seed)
    classifier = Classifier(backbone, 3)
    save_model(folder, classifier, ModelCard.of(classifier, ("a", "b", "c")))
    client = open_client()
    if number == 1:
        client.create_registered_model("glyphs")
    client.create_model_version("glyphs", str(folder), tags=tags)
    client.set_registered_model_alias("glyphs", "champion", str(number))
    return classifier


def test_shipped_weights_have_a_known_answer_and_give_it() -> None:
    admitted = admit(parse("rootstock/strokes"))
    assert admitted.known_answer == SHIPPED[admitted.sha256 or ""]
    assert admitted.known_answer.values == pytest.approx(answer_of(admitted.backbone).values, rel=1e-4)


def test_weights_that_answer_otherwise_are_refused(project: Path) -> None:
    reference = _weights(project / "w.safetensors")
    catalogue.declare(reference, "MIT", "https://example.invalid/w", None)
    said = json.loads(declaration_of(project / "w.safetensors").read_text())
    said["known_answer"]["values"][0] += 0.01
    declaration_of(project / "w.safetensors").write_text(json.dumps(said))
    with pytest.raises(UserError, match=r"w\.safetensors does not give the answer that its card records"):
        candidate(parse(reference), None)


def test_a_declaration_counts_for_the_file_it_was_written_for(project: Path) -> None:
    reference = _weights(project / "w.safetensors")
    assert catalogue.shown(reference).card.provenance.missing() == ("licence", "origin")
    written = catalogue.declare(reference, "Apache-2.0", "https://example.invalid/w", "photos of mine")
    shown = catalogue.shown(reference)
    assert written.name == "w.safetensors.card.json"
    assert (shown.card.provenance.licence, shown.card.provenance.training_data) == ("Apache-2.0", "photos of mine")
    assert shown.card.known_answer == shown.answer
    _weights(project / "w.safetensors", seed=1)
    assert catalogue.shown(reference).card.provenance.missing() == ("licence", "origin")


@pytest.mark.parametrize("content", ["[]", "{", '{"license": "MIT"}', '{"licence": 3}', '{"licence": " "}'])
def test_a_declaration_that_cannot_be_read_is_named(project: Path, content: str) -> None:
    declaration_of(project / "w.pth").write_text(content)
    with pytest.raises(UserError, match=r"w\.pth\.card\.json must be JSON with texts under licence, origin"):
        declared(project / "w.pth")


@pytest.mark.parametrize("act", [catalogue.shown, lambda text: catalogue.declare(text, "MIT", "here", None)])
def test_a_poisoned_file_is_refused_at_every_door(project: Path, act: object) -> None:
    (project / "w.pth").write_bytes(b"cposix\nsystem\n(S'touch ran'\ntR.")
    (project / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    assert callable(act)
    with pytest.raises(UserError, match="holds more than tensors and was refused, nothing in it was executed"):
        act("rootstock/strokes@w.pth")
    with pytest.raises(UserError, match="is truncated or is no weights file"):
        act("rootstock/strokes@cut.safetensors")
    assert not (project / "ran").exists()
    assert not declaration_of(project / "w.pth").exists()


def test_the_trunk_of_a_registered_model_is_a_candidate(mlflow_project: Path) -> None:
    classifier = _register(mlflow_project / "first", 3, 1, {"weights_licence": "MIT", "data": "letters"})
    backbone, sha256 = candidate(parse("mlflow/glyphs@champion"), None)
    assert digest_of(backbone.trunk) == digest_of(classifier.backbone.trunk)
    assert (backbone.preprocess, backbone.feature_dim) == (classifier.backbone.preprocess, 336)
    assert parse(backbone.reference).weights == "models:/glyphs/1"
    assert parse(backbone.reference).arch == "strokes"
    assert (digest_of(candidate(parse("mlflow/glyphs@1"), sha256)[0].trunk)) == digest_of(backbone.trunk)
    random = random_candidate(parse("mlflow/glyphs@champion"), 7)
    assert digest_of(random.trunk) != digest_of(backbone.trunk)
    assert random.preprocess == backbone.preprocess
    card = catalogue.shown("mlflow/glyphs@champion").card
    assert (card.provenance.licence, card.file.sha256) == ("MIT", sha256)
    assert "then the data set letters" in str(card.provenance.training_data)
    assert candidate(parse("mlflow/glyphs?crop_px=24@champion"), None)[0].preprocess.crop_px == 24


def test_an_alias_that_moved_is_noticed(mlflow_project: Path) -> None:
    _register(mlflow_project / "first", 3, 1)
    named = {"select.candidates": ["mlflow/glyphs@champion"]}
    write_overrides(mlflow_project, named)
    assert set(read_params().select.weights_sha256) == {"models:/glyphs@champion"}
    _register(mlflow_project / "second", 4, 2)
    with pytest.raises(UserError, match="models:/glyphs@champion is not the weights file that was recorded"):
        planned_changes(mlflow_project, {})
    write_overrides(mlflow_project, named)
    assert planned_changes(mlflow_project, {}) == {}


@pytest.mark.parametrize("text", ["mlflow/nothing@champion", "mlflow/glyphs@7", "rootstock/strokes@models:/glyphs/7"])
def test_a_model_that_is_not_registered_is_named(mlflow_project: Path, text: str) -> None:
    _register(mlflow_project / "first", 3, 1)
    with pytest.raises(UserError, match="There is no registered model models:/"):
        candidate(parse(text), None)


def test_an_option_of_the_architecture_is_not_for_registered_models(mlflow_project: Path) -> None:
    _register(mlflow_project / "first", 3, 1)
    with pytest.raises(UserError, match="has the option 'width_mult', but the architecture is that of the registered"):
        candidate(parse("mlflow/glyphs?width_mult=2@champion"), None)


def test_what_is_at_hand_comes_first(mlflow_project: Path) -> None:
    write_overrides(mlflow_project, {"select.candidates": [_weights(mlflow_project / "w.safetensors")]})
    _register(mlflow_project / "first", 3, 1)
    lines = catalogue.listed()
    assert [(entry.reference, here) for entry, here in lines[:3]] == [
        ("rootstock/strokes", True),
        ("rootstock/strokes@w.safetensors", True),
        ("mlflow/glyphs@champion", True),
    ]
    assert [entry.licence for entry, _ in lines[:3]] == ["Apache-2.0", None, None]
    assert len(lines) >= 83
    assert {entry.reference for entry, _ in catalogue.listed("RESNET1")} >= {"torchvision/resnet18"}


def test_a_card_says_where_weights_are_to_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    catalogue_tables.show_card("torchvision/vit_b_16@IMAGENET1K_SWAG_E2E_V1", as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("CC-BY-NC-4.0", "rootstock backbones fetch", "9ac1b537", "vit_b_16@IMAGENET1K_V1", "384 px"):
        assert words in shown
    catalogue_tables.show_card("torchvision/resnet18@none", as_json=True)
    card = json.loads(capsys.readouterr().out)
    assert (card["provenance"]["licence"], card["n_parameters"], card["file"]["sha256"]) == (
        "none needed",
        11176512,
        None,
    )


@pytest.mark.parametrize("text", ["rootstock/strokes", "torchvision/resnet18@none", "torchvision/resnet18@w.pth"])
def test_what_is_not_published_cannot_be_fetched(text: str) -> None:
    with pytest.raises(UserError, match="has no weights to fetch"):
        list(catalogue.fetch([text]))


def test_fetched_weights_pass_customs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = build_backbone(parse("torchvision/squeezenet1_1@none"), None, seed=0).trunk.state_dict()
    torch.save(whole, tmp_path / "published.pth")
    url = (tmp_path / "published.pth").as_uri()
    monkeypatch.setattr("transfer.backbones.torchvision_models.weights_url", lambda *_: url)
    monkeypatch.setenv("ROOTSTOCK_WEIGHTS", str(tmp_path / "store"))
    catalogue_tables.fetch(["torchvision/squeezenet1_1"])
    assert str(tmp_path / "store") in capsys.readouterr().out
    with pytest.raises(UserError, match="holds weights of another architecture than torchvision/resnet18"):
        catalogue_tables.fetch(["torchvision/resnet18"])


def test_the_shipped_file_and_its_card_agree(root: Path) -> None:
    card = json.loads((root / "backbones" / "strokes.json").read_text())
    assert set(SHIPPED) == {card["sha256"]}
    assert len(load_file(root / "backbones" / "strokes.safetensors")) == len(admit(parse("rootstock/strokes")).names)
